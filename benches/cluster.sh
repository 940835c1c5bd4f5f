# What benches/compare, benches/soak and benches/optimize share: a three-process cluster on loopback, and the numbers in
# what `holdfast bench --json` prints. Sourced, not run.

binary=${HOLDFAST_BINARY:-target/dist/holdfast}
[ -n "${HOLDFAST_BINARY:-}" ] || cargo build --profile dist --quiet -p holdfast

data=$(mktemp -d "${HOLDFAST_BENCH_DIR:-${TMPDIR:-/tmp}}/holdfast-bench.XXXXXX")
pids=() urls=() servers=() peers=()
base=$((20000 + RANDOM % 10000))

finish() {
  stop KILL
  rm -rf "$data"
}
trap finish EXIT

stop() { # the signal, TERM unless given; waits for the ends
  for pid in "${pids[@]}"; do kill "-${1:-TERM}" "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; done
  pids=() urls=() servers=()
}

launch() { # starts the three nodes on the data that is there, and waits until each is ready
  for n in 1 2 3; do
    launch_node "$n"
    urls+=(--url "http://$(http "$n")")
    servers+=(--pid $!)
  done
  for n in 1 2 3; do await "$n"; done
}

# What pays for orders. In the environment, since binaries of before know no such flag.
export HOLDFAST_PAYMENT_GATEWAY=simulated

launch_node() { # starts node $1 on the data that is there
  "$binary" serve --id "$1" --data "$data/$1" --http "$(http "$1")" --raft "127.0.0.1:$((base + $1))" \
    "${peers[@]}" --log-filter warn >>"$data/$1.out" 2>&1 &
  pids[$1 - 1]=$!
  disown
}

start() { # a new cluster on new ports, without data
  rm -rf "${data:?}"/*
  base=$((base + 10)) peers=()
  for n in 1 2 3; do peers+=(--peer "$n=127.0.0.1:$((base + n)),$(http "$n")"); done
  launch
}

http() { # the address of node $1
  echo "127.0.0.1:$((base + 5 + $1))"
}

await() { # until node $1 is ready
  for _ in $(seq 3000); do
    curl -sf -o "$data/ready" "http://$(http "$1")/readyz" && return
    kill -0 "${pids[$1 - 1]}" 2>/dev/null || break
    sleep 0.02
  done
  echo "node $1 did not become ready:" >&2
  cat "$data/$1.out" >&2
  exit 1
}

followers() { # `--url` flags of the nodes that do not lead
  local leader
  leader=$("$binary" status "${urls[@]}" --json | sed -E 's/.*"leader_id":([0-9]+).*/\1/')
  for n in 1 2 3; do [ "$n" = "$leader" ] || printf -- '--url http://%s ' "$(http "$n")"; done
}

load() { # flags of `holdfast bench`; prints its JSON
  "$binary" bench "${servers[@]}" --json "$@"
}

number() { # the first number behind the name $2 in the JSON text $1, 0 when there is none
  local rest=${1#*\"$2\":}
  if [ "$rest" = "$1" ]; then echo 0; else sed -E 's/^(-?[0-9.]+).*/\1/' <<<"$rest"; fi
}

cpu() { # processor time of the servers in microseconds a request, from the JSON text $1
  number "${1#*\"server\":}" us_per_request
}

threads() { # the same by thread
  sed -E 's/.*"server"://' <<<"$1" | grep -oE '"name":"[^"]+"[^}]*"us_per_request":[0-9.]+' |
    sed -E 's/"name":"([^"]+)".*"us_per_request":([0-9.]+)$/\1 \2/' |
    awk -v n="${2:-1}" '{ printf "%s%s %.1f", (NR > 1 ? ", " : ""), $1, $2 / n }'
}

memory() { # resident MiB of the three nodes, one by one
  for pid in "${pids[@]}"; do awk '/^VmRSS/ { printf "%d ", $2 / 1024 }' "/proc/$pid/status"; done
}

disk() { # MiB on disk of the three nodes, one by one
  du -sm "$data"/1 "$data"/2 "$data"/3 | awk '{ printf "%d ", $1 }'
}

machine() {
  echo "$(nproc) cores, $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 }' /proc/meminfo), \
$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(date -u +%Y-%m-%d)"
}

calc() { # an expression of awk, with two digits
  awk "BEGIN { printf \"%.2f\", $1 }"
}
