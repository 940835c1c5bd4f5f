/* Loaded before libc into a node under test: every sync of a file takes so many microseconds longer,
 * and from the moment on that a given file exists it fails as a dying disk makes it fail. While
 * another file exists syncs do not end. Writes go on, but those to the checkpoint fail while another
 * file exists, and do not end while one more does. Reads of snapshots take so many microseconds longer for each kibibyte. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int exists(const char *variable) {
    const char *trigger = getenv(variable);
    return trigger != NULL && access(trigger, F_OK) == 0;
}

static int is_failing(void) {
    const char *delay = getenv("DELAY_SYNC_US");
    if (delay != NULL) {
        usleep((useconds_t)atoi(delay));
    }
    while (exists("HANG_SYNC_WHEN")) {
        usleep(5000);
    }
    return exists("FAIL_SYNC_WHEN");
}

int fdatasync(int file) {
    if (is_failing()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    if (is_failing()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

/* Whether the path of a file has this part. */
static int is_in(int file, const char *part) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = 0;
    return strstr(path, part) != NULL;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    if (exists("FAIL_CHECKPOINT_WHEN") && is_in(file, "/state/")) {
        errno = EIO;
        return -1;
    }
    while (exists("HANG_CHECKPOINT_WHEN") && is_in(file, "/state/")) {
        usleep(5000);
    }
    return syscall(SYS_pwrite64, file, bytes, length, at);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t at) {
    ssize_t got = syscall(SYS_pread64, file, bytes, length, at);
    const char *delay = getenv("DELAY_READ_US");
    if (delay != NULL && got > 0 && is_in(file, "/snapshots/")) {
        useconds_t us = (useconds_t)atoi(delay) * (useconds_t)(1 + got / 1024);
        usleep(us);
    }
    return got;
}
