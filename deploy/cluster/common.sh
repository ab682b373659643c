# The cluster of one machine. Sourced by the scripts beside it, which set $root to the repository.
#
# Below its folder: cluster.json (for the command), redis, images, tls, and for each host its silo.json, state, guests and memory.
# The file "processes" has a line for each process that was started: NAME PID START, the last one in clock ticks since boot.

hosts=(hv1 hv2 hv3)

refuse() { printf '%s: %s\n' "$me" "$*" >&2; exit 1; }

# choose_folder [FOLDER]: sets $folder, an absolute path that needs no quoting in any configuration file and leaves room for socket names.
choose_folder() {
    folder=$(realpath -m -- "${1:-${XDG_STATE_HOME:-${HOME:?HOME is not set}/.local/state}/distmigrate-cluster}")
    [[ $folder =~ ^/[A-Za-z0-9._/@+-]+$ ]] || refuse "the folder $folder has characters in its path that not every program here can take; name another one."
    [ ${#folder} -le 64 ] || refuse "the folder $folder has too long a path for sockets in it; name one of at most 64 characters."
}

# start_of PID: when a process was started; fails when there is none, or it has ended.
start_of() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    set -- ${stat##*) }
    [ "$1" != Z ] && printf '%s\n' "${20}"
}

# lives PID START
lives() { [ "$(start_of "$1" || true)" = "$2" ]; }

# record NAME PID
record() { printf '%s %s %s\n' "$1" "$2" "$(start_of "$2")" >>"$folder/processes"; }

# is_up NAME: whether the latest process of that name lives.
is_up() {
    local line
    line=$(awk -v name="$1" '$1 == name { last = $2 " " $3 } END { print last }' "$folder/processes" 2>/dev/null) || return 1
    [ -n "$line" ] && lives $line
}

# launched_guests: PID START of the QEMUs that silos have launched, as their records say.
launched_guests() {
    local file
    for file in "$folder"/hv?/guests/*/launch.json; do
        [ -e "$file" ] || continue
        sed -n 's/^ *"pid": *\([0-9]*\),*$/\1/p; s/^ *"start-time": *\([0-9]*\),*$/\1/p' "$file" | paste -sd ' '
    done
}

# wait_until SECONDS COMMAND...
wait_until() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}
