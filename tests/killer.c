/* For LD_PRELOAD, about the calls that make a file durable: kills its process at the KILL_AT-th, before it (or, with
   KILL_AFTER=1, after it), and makes each SLOW_MS milliseconds longer; both from when the file KILL_WHEN is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int calls;

static int count(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *at = getenv("KILL_AT"), *after = getenv("KILL_AFTER"), *when = getenv("KILL_WHEN"), *slow = getenv("SLOW_MS");
    int awake = !when || access(when, F_OK) == 0;
    int now = awake && at && ++calls == atoi(at);
    if (awake && slow) usleep(1000 * atoi(slow));
    if (now && !after) kill(getpid(), SIGKILL);
    int result = real(fd);
    if (now) kill(getpid(), SIGKILL);
    return result;
}

int fsync(int fd) { return count("fsync", fd); }
int fdatasync(int fd) { return count("fdatasync", fd); }
