/*
 * Requests that a server of OAP takes (security/oap/replay_cache.ts, clock_guard.ts, server.ts: checkFresh, remember):
 * none twice, though whoever is on the path presents any recorded request at any time, the daemon is restarted and its
 * clock is set. A unit of time is 100 ms: AGE and KEEP are shorter than in the program, their order is the same.
 *
 * Defines choose what happens, and take rules away, so that the model can fail:
 *   ROOM      the list has room, so nothing is dropped because of its age
 *   RESTARTS, STEPS, STEP   how often the daemon is restarted, the clock set back, and how far
 *   NO_LIST   nothing is remembered               NO_START  a restart is forgotten
 *   NO_FUTURE requests may be older than the start plus what a clock may be ahead
 *   DISK      the list outlives a restart
 *   NO_KEEP   entries go as soon as they are too old, and nobody watches the clock
 */
#define AGE 3
#define FUTURE 1
#define KEEP 2
#define R 2
#define START 12
#define END 24
#ifndef STEP
#define STEP 1
#endif
#ifndef RESTARTS
#define RESTARTS 2
#endif

/* The server's wall clock, and a clock that is never set. */
byte wall = START;
byte mono = 0;
byte begun = 0;
/* Timestamps of the requests that were made; 0: not yet. */
byte ts[R];
bool known[R];
byte served[R];
byte restarts = 0;
byte steps = 0;

#ifdef NO_START
#define SINCE_START(t) true
#else
#ifdef NO_FUTURE
#define SINCE_START(t) (t + mono > wall + begun)
#else
#define SINCE_START(t) (t + mono > wall + begun + FUTURE)
#endif
#endif

#ifdef NO_LIST
#define IS_NEW(r) true
#else
#define IS_NEW(r) (!known[r])
#endif

#ifdef NO_KEEP
#define KEPT AGE
#else
#define KEPT (AGE + KEEP)
#endif

#define IN_TIME(t) (t <= wall + FUTURE && wall <= t + AGE)

inline present(r) {
  atomic {
    if
    :: IN_TIME(ts[r]) && SINCE_START(ts[r]) && IS_NEW(r) ->
       served[r]++; known[r] = true; assert(served[r] <= 1)
    :: else
    fi
  }
}

/* What the list drops when it may: too old, and some more. */
inline expire(i) {
  for (i : 0 .. R - 1) {
    if
#ifndef ROOM
    :: known[i] && wall > ts[i] + KEPT -> known[i] = false
#endif
    :: else -> skip
    fi
  }
}

active proctype World() {
  byte r;
  byte i;
  do
  :: wall < END && mono < END -> atomic { wall++; mono++; expire(i) }
  /* The client's clock is right, behind or ahead. */
  :: atomic {
       select(r : 0 .. R - 1);
       if
       :: ts[r] == 0 -> if :: ts[r] = wall :: ts[r] = wall - 1 :: ts[r] = wall + FUTURE fi
       :: else
       fi
     }
  :: select(r : 0 .. R - 1); if :: ts[r] != 0 -> present(r) :: else fi
  /* A restart takes no time at all, and begins with the wall clock as it is. */
  :: restarts < RESTARTS -> atomic {
       restarts++; begun = mono;
#ifndef DISK
       for (r : 0 .. R - 1) { known[r] = false }
#endif
     }
#ifdef STEPS
  :: steps < STEPS && wall > START -> atomic { steps++; wall = wall - STEP }
#endif
  :: wall >= END || mono >= END -> break
  od
}
