/* Loaded before libc into a node under test: every sync of a file takes so many microseconds longer,
 * and from the moment on that a given file exists it fails as a dying disk makes it fail. Writes go
 * on. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_failing(void) {
    const char *delay = getenv("DELAY_SYNC_US");
    if (delay != NULL) {
        usleep((useconds_t)atoi(delay));
    }
    const char *trigger = getenv("FAIL_SYNC_WHEN");
    return trigger != NULL && access(trigger, F_OK) == 0;
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
