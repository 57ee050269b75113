/* For LD_PRELOAD, about the calls that make a file durable: kills its process at the KILL_AT-th, before it (or, with
   KILL_AFTER=1, after it), counted from when the file KILL_WHEN is there; makes each SLOW_MS milliseconds longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int calls;

static int count(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *at = getenv("KILL_AT"), *after = getenv("KILL_AFTER"), *when = getenv("KILL_WHEN"), *slow = getenv("SLOW_MS");
    int counted = at && (!when || access(when, F_OK) == 0);
    int now = counted && ++calls == atoi(at);
    if (slow) usleep(1000 * atoi(slow));
    if (now && !after) kill(getpid(), SIGKILL);
    int result = real(fd);
    if (now) kill(getpid(), SIGKILL);
    return result;
}

int fsync(int fd) { return count("fsync", fd); }
int fdatasync(int fd) { return count("fdatasync", fd); }
