/*
 * LD_PRELOAD library for clock_jump_test.ts: CLOCK_REALTIME differs from the host's by the seconds that stand, as a
 * 64-bit number, at the start of the file JUMP_FILE. All other clocks are the host's.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *jump;

static long long jump_seconds(void)
{
        if (jump == NULL) {
                const char *path = getenv("JUMP_FILE");
                int         fd   = path == NULL ? -1 : open(path, O_RDONLY);
                void       *at;

                if (fd < 0)
                        return 0;
                at = mmap(NULL, sizeof(*jump), PROT_READ, MAP_SHARED, fd, 0);
                close(fd);
                if (at == MAP_FAILED)
                        return 0;
                jump = at;
        }
        return *jump;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
        int ret = syscall(SYS_clock_gettime, clock, ts);

        if (ret == 0 && clock == CLOCK_REALTIME)
                ts->tv_sec += jump_seconds();
        return ret;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
        struct timespec ts;

        (void) tz;
        clock_gettime(CLOCK_REALTIME, &ts);
        tv->tv_sec  = ts.tv_sec;
        tv->tv_usec = ts.tv_nsec / 1000;
        return 0;
}

time_t time(time_t *t)
{
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        if (t != NULL)
                *t = ts.tv_sec;
        return ts.tv_sec;
}
