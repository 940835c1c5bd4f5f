/* Stands between a node and the C library: shifts its clock, slows its disk, fails its syncs.
 *
 * What it does is read from a page that the test writes: offset of the clock in nanoseconds, delay
 * of a sync in microseconds, syncs to fail, whether syncs hang. It counts what it did in the same page.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int64_t clock_offset_ns, sync_delay_us, sync_failures, shifted, delayed, failed, sync_hangs;
};
static struct page *page;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_range)(int, off64_t, off64_t, unsigned int);

__attribute__((constructor)) static void begin(void) {
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_range = dlsym(RTLD_NEXT, "sync_file_range");
    const char *path = getenv("HOLDFAST_JEPSEN_PAGE");
    if (!path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *at = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) page = at;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = real_clock(clock, at);
    if (!result && page && page->clock_offset_ns &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t time = at->tv_sec * 1000000000LL + at->tv_nsec + page->clock_offset_ns;
        at->tv_sec = time / 1000000000LL;
        at->tv_nsec = time % 1000000000LL;
        __sync_fetch_and_add(&page->shifted, 1);
    }
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

/* Whether the sync is to fail; waits first if it is to be slow. */
static int trouble(void) {
    if (!page) return 0;
    if (page->sync_delay_us) {
        __sync_fetch_and_add(&page->delayed, 1);
        usleep(page->sync_delay_us);
    }
    if (page->sync_hangs) {
        __sync_fetch_and_add(&page->delayed, 1);
        while (page->sync_hangs) usleep(5000);
    }
    if (page->sync_failures > 0 && __sync_fetch_and_sub(&page->sync_failures, 1) > 0) {
        __sync_fetch_and_add(&page->failed, 1);
        errno = EIO;
        return 1;
    }
    return 0;
}

int fsync(int file) { return trouble() ? -1 : real_fsync(file); }
int fdatasync(int file) { return trouble() ? -1 : real_fdatasync(file); }
int sync_file_range(int file, off64_t offset, off64_t count, unsigned int flags) {
    return trouble() ? -1 : real_range(file, offset, count, flags);
}
