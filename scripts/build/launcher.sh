#!/bin/sh
# ouro @VERSION@, portable form: this script, then two gzipped archives (the deno runtime, the program).
# At its first start it unpacks them below a cache directory of the user; every start checks owner,
# mode and sizes there, and runs the program. OURO_CACHE chooses the directory.
runtime=@RUNTIME@ program=@PROGRAM@
files="@FILES@"
good="@GOOD@"

# Whether directory $1 is ours alone and holds runtime and program as they were unpacked. What a process must be started
# for, the limits as well, is seen with one.
ready() {
  [ -O "$1" ] && [ ! -L "$1" ] && [ -x "$1/$runtime/deno" ] || return 1
  seen=$(
    ulimit -S -n; ulimit -S -s 2>/dev/null || echo unknown; ulimit -S -v 2>/dev/null || echo unknown
    PATH=/usr/bin:/bin:$PATH LC_ALL=C; export LC_ALL; cd "$1" 2>/dev/null && exec stat -c %a:%s . $files 2>/dev/null
  )
  case $seen in
    *[!0-9]700:*"$good") return 0 ;;
  esac
  return 1
}

# Limits below which the runtime does not start but panics: open files, KiB of stack, and KiB of address space, of which it
# reserves much and uses little.
files_least=64 stack_least=512 space_least=67108864
limits() {
  set -- $seen
  below "$1" $files_least && ! ulimit -S -n $files_least 2>/dev/null &&
    refuse "too few files may be open (ulimit -n is $1, at least $files_least are needed): ulimit -n 1024"
  below "$2" $stack_least && ! ulimit -S -s $stack_least 2>/dev/null &&
    refuse "too little stack (ulimit -s is $2 KiB, at least $stack_least are needed): ulimit -s 8192"
  below "$3" $space_least &&
    refuse "too little address space (ulimit -v is $3 KiB, the runtime reserves 64 GiB): ulimit -v unlimited"
  # Who writes a file beyond ulimit -f is told by the call, and says so.
  trap '' XFSZ
}

# Whether limit $1 is a number below $2.
below() {
  case $1 in
    *[!0-9]* | '') return 1 ;;
  esac
  [ "$1" -lt "$2" ]
}

refuse() {
  echo "ouro: $1" >&2
  exit 1
}

# What changes how the runtime works is not for who called us to say (su keeps an environment).
unset NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS SSLKEYLOGFILE OTEL_DENO DENO_V8_FLAGS DENO_COVERAGE_DIR \
  DENO_AUDIT_PERMISSIONS DENO_TRACE_PERMISSIONS DENO_AUTH_TOKENS DENO_CERT DENO_TLS_CA_STORE DENO_SERVE_ADDRESS \
  DENO_KV_PATH DENO_INSPECT DENO_COMPAT

start() {
  limits
  export OURO_SELF="$self" OURO_ARGV0="$0" OURO_DENO_DIR="$DENO_DIR" DENO_DIR="$1/deno" DENO_NO_UPDATE_CHECK=1
  root=$1
  shift
  exec "$root/$runtime/deno" @FLAGS@ "$root/$program/main.js" "$@"
  echo "ouro: cannot run $root/$runtime/deno" >&2
  exit 126
}

case $0 in
  /*) self=$0 ;;
  */*) self=$PWD/$0 ;;
  *) self=$(command -v "$0") ;;
esac

# A directory that another user chose is not ours to use.
[ -z "$OURO_CACHE" ] || [ ! -e "$OURO_CACHE" ] || [ -O "$OURO_CACHE" ] || OURO_CACHE=

# Directories where the unpacked program may be, best first; one process is started to look at the usual one.
if [ -n "$OURO_CACHE" ]; then
  ready "$OURO_CACHE" && start "$OURO_CACHE" "$@"
else
  case $XDG_CACHE_HOME in
    /*) [ -O "$XDG_CACHE_HOME" ] && ready "$XDG_CACHE_HOME/ouro" && start "$XDG_CACHE_HOME/ouro" "$@" ;;
  esac
  case $HOME in
    /*) [ -O "$HOME" ] && ready "$HOME/.cache/ouro" && start "$HOME/.cache/ouro" "$@" ;;
  esac
fi

PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
user=$(id -u)
fallbacks="/var/cache/ouro /var/tmp/ouro-$user /tmp/ouro-$user"
[ "$user" = 0 ] || fallbacks="/var/tmp/ouro-$user /tmp/ouro-$user"
if [ -z "$OURO_CACHE" ]; then
  for dir in $fallbacks; do
    ready "$dir" && start "$dir" "$@"
  done
fi

# Whether directory $1 holds the files of $2 (lines of SHA-256 and name); gives them mode $3.
whole() {
  [ -d "$1" ] && (cd "$1" && printf '%s\n' "$2" | sha256sum -c --status &&
    chmod "$3" $(printf '%s\n' "$2" | cut -c 67-))
}

# Unpacks $3 bytes at offset $2 of this file as directory $1/$4, in one step: it is whole or not there.
# $5 are its files with their SHA-256, $6 their mode.
unpack() {
  whole "$1/$4" "$5" "$6" && return 0
  # Not named after a pid: in another PID namespace others have the same.
  new=$(mktemp -d "$1/.new.XXXXXXXXXX") || return 1
  # A broken one is moved away.
  [ -e "$1/$4" ] && mv -T "$1/$4" "$new/old"
  mkdir "$new/it" &&
    tail -c "+$2" "$self" | head -c "$3" | gzip -dc | tar -x -o -m -f - -C "$new/it" &&
    whole "$new/it" "$5" "$6" &&
    # When another start was quicker its result is there already, and as good.
    { mv -T "$new/it" "$1/$4" || whole "$1/$4" "$5" "$6"; }
  result=$?
  rm -rf "$new"
  return $result
}

# One start at a time unpacks into directory $1, the others wait for it; a dead one's lock is nobody's. Removes what
# was left behind. Where there is no flock each unpacks for itself, and what is old counts as left.
alone() {
  if command -v flock >/dev/null && exec 9>>"$1/.lock" && flock -w 120 9; then
    rm -rf "$1"/.new.*
  else
    find "$1" -maxdepth 1 -name '.new.*' -mmin +10 -exec rm -rf {} +
  fi
}

# Makes directory $1 ready.
prepare() {
  (
    umask 077
    [ -d "$1" ] || mkdir -p "$1" || exit 1
    [ -O "$1" ] && [ ! -L "$1" ] || exit 1
    chmod 700 "$1" || exit 1
    alone "$1"
    unpack "$1" @RUNTIME_AT@ @RUNTIME_SIZE@ "$runtime" "@RUNTIME_SUMS@" 500 &&
      unpack "$1" @PROGRAM_AT@ @PROGRAM_SIZE@ "$program" "@PROGRAM_SUMS@" 400
  ) 2>/dev/null
  ready "$1"
}

if [ -n "$OURO_CACHE" ]; then
  prepare "$OURO_CACHE" && start "$OURO_CACHE" "$@"
  echo "ouro: cannot unpack into OURO_CACHE=$OURO_CACHE (it must be a writable directory of this user, not mounted noexec, with 150 MB free)" >&2
  exit 1
fi
case $XDG_CACHE_HOME in
  /*) [ -O "$XDG_CACHE_HOME" ] && prepare "$XDG_CACHE_HOME/ouro" && start "$XDG_CACHE_HOME/ouro" "$@" ;;
esac
case $HOME in
  /*) [ -O "$HOME" ] && prepare "$HOME/.cache/ouro" && start "$HOME/.cache/ouro" "$@" ;;
esac
for dir in $fallbacks; do
  prepare "$dir" && start "$dir" "$@"
done
echo "ouro: no directory to unpack into (tried the user's cache and $fallbacks): set OURO_CACHE to a private directory with 150 MB free" >&2
exit 1
