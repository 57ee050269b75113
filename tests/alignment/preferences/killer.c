/* Kills its process at the N-th call that makes a file durable, before it (or, with AFTER=1, after it). For LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int calls;

static int count(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *at = getenv("KILL_AT"), *after = getenv("KILL_AFTER");
    int now = at && ++calls == atoi(at);
    if (now && !after) kill(getpid(), SIGKILL);
    int result = real(fd);
    if (now) kill(getpid(), SIGKILL);
    return result;
}

int fsync(int fd) { return count("fsync", fd); }
int fdatasync(int fd) { return count("fdatasync", fd); }
