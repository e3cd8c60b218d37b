/*
 * Keys of an encrypted flow (lib/crypt/epoch.ts): both ends count what they send and receive under their key, go on to the
 * next after N packets, and try the keys e-1 ... e+2 on what arrives; who hears that the other is still behind waits for it.
 * No end ever meets a key that it does not try, whatever is lost in both directions, as long as nobody sends most of a key's
 * packets while it hears nothing. (Who does so into an outage is found by a search, one key a packet, which is not modelled.)
 *
 * Defines that take a rule away, so that the model can fail: AHEAD=0 (no key ahead is tried), BEHIND=0 (none behind),
 * NO_WAIT (nobody waits for the other), ALONE (packets that are sent while nothing is heard).
 */
#ifndef N
#define N 4
#endif
#ifndef ALONE
#define ALONE (N - 2)
#endif
#ifndef AHEAD
#define AHEAD 2
#endif
#ifndef BEHIND
#define BEHIND 1
#endif
#ifndef SENDS
#define SENDS 11
#endif
#define FLIGHT 1
/* Packets that an end sends while one waits to be read: few beside those of a key. */
#define BEFORE_READ 1

chan ab = [FLIGHT] of { byte };
chan ba = [FLIGHT] of { byte };
byte epoch[2];
byte counted[2];
bool behind[2];
byte alone[2];

inline count(me) {
  counted[me]++;
  if
  :: counted[me] >= N && !behind[me] -> epoch[me]++; counted[me] = 0
  :: counted[me] > N -> counted[me] = N
  :: else
  fi
}

proctype End(byte me; chan out; chan in) {
  byte got;
  byte sent = 0;
  byte unread = 0;
  do
  :: sent < SENDS && alone[me] < ALONE && (empty(in) || unread < BEFORE_READ) -> atomic {
       if
       :: nempty(in) -> unread++
       :: empty(in)
       fi;
       if
       :: true /* lost */
       :: nfull(out) -> out ! epoch[me]
       fi;
       sent++; alone[me]++; count(me)
     }
  :: atomic {
       in ? got ->
       unread = 0;
       alone[me] = 0;
       assert(got + BEHIND >= epoch[me] && got <= epoch[me] + AHEAD);
       if
       :: got < epoch[me] ->
#ifndef NO_WAIT
         behind[me] = true
#else
         skip
#endif
       :: else ->
         if
         :: got > epoch[me] -> epoch[me] = got; counted[me] = 0
         :: got == epoch[me] && behind[me] && counted[me] > N - 1 -> counted[me] = N - 1
         :: else
         fi;
         behind[me] = false;
         count(me)
       fi
     }
  od
}

init {
  atomic { run End(0, ab, ba); run End(1, ba, ab) }
}
