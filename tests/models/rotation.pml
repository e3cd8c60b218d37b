/*
 * Keys of an encrypted flow (lib/crypt/epoch.ts): both ends count what they send and receive, go on to the next key
 * after N packets, and try the keys e-1 ... e+2 on what arrives. No end ever meets a key that it does not try, as long as
 * no more than LOST packets of a key are lost one way, and few are on their way at a time.
 *
 * Defines that take a rule away, so that the model can fail: AHEAD=0 (no key ahead is tried), BEHIND=0 (none behind),
 * LOST=3 (half of a key's packets are lost one way: single packets may then be under a key that is not tried any more).
 */
#ifndef N
#define N 6
#endif
#ifndef LOST
#define LOST 1
#endif
#ifndef AHEAD
#define AHEAD 2
#endif
#ifndef BEHIND
#define BEHIND 1
#endif
#ifndef SENDS
#define SENDS 12
#endif
#define FLIGHT 1
/* Packets that an end sends while one waits to be read: few beside those of a key. */
#define BEFORE_READ 1

chan ab = [FLIGHT] of { byte };
chan ba = [FLIGHT] of { byte };
byte epoch[2];
byte counted[2];
byte lost[2];

inline count(me) {
  counted[me]++;
  if
  :: counted[me] == N -> epoch[me]++; counted[me] = 0; lost[me] = 0
  :: else
  fi
}

proctype End(byte me; chan out; chan in) {
  byte got;
  byte sent = 0;
  byte unread = 0;
  do
  :: sent < SENDS && (empty(in) || unread < BEFORE_READ) -> atomic {
       if
       :: nempty(in) -> unread++
       :: empty(in)
       fi;
       if
       :: lost[me] < LOST -> lost[me]++
       :: nfull(out) -> out ! epoch[me]
       fi;
       sent++; count(me)
     }
  :: atomic {
       in ? got ->
       unread = 0;
       assert(got + BEHIND >= epoch[me] && got <= epoch[me] + AHEAD);
       if
       :: got > epoch[me] -> epoch[me] = got; counted[me] = 0; lost[me] = 0
       :: else
       fi;
       count(me)
     }
  od
}

init {
  atomic { run End(0, ab, ba); run End(1, ba, ab) }
}
