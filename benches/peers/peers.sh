#!/bin/bash
# Starts and stops the peers on their own ports, server side pinned to $SRV_CPU (default 0).
#   peers.sh start NAME...   peers.sh stop NAME...   peers.sh pid NAME
# ours: runs $OURS_CMD (export it) with a fresh directory in $OURS_DATA and waits for all of $OURS_PORTS.
# Names: ours rabbitmq mosquitto sio node-docs nginx hello echo
# Binaries: KBENCH (dir with kbench and hello). State lives in $RUN.
HERE=$(cd "$(dirname "$0")" && pwd)
RUN=${RUN:-$HERE/../run}; CPU=${SRV_CPU:-0}; mkdir -p "$RUN"; RUN=$(cd "$RUN" && pwd)
KBENCH=${KBENCH:-$HERE/../target/release}

answers() { (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null; }

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

fail() { # NAME TEXT : says why, with the end of the log
  echo "$1: $2" >&2
  if [ -s "$RUN/$1.log" ]; then echo "--- end of $1.log" >&2; tail -n 15 "$RUN/$1.log" >&2; fi
  stop "$1"; return 1
}

up() { # NAME "PORT..." COMMAND... : starts, waits for the ports, prints milliseconds to readiness
  local n=$1 ports=$2 p pid i; shift 2
  for p in $ports; do # something else there would pass for the peer
    for i in 1 2 3 4 5 6; do answers "$p" || break; sleep 0.3; done
    if answers "$p"; then
      echo "$n: port $p is in use by another process (a packaged service? see README)" >&2; return 1
    fi
  done
  local t0=$(date +%s%N)
  taskset -c "$CPU" "$@" >"$RUN/$n.log" 2>&1 & pid=$!
  echo "$pid" >"$RUN/$n.pid"
  for p in $ports; do
    until answers "$p"; do
      alive "$pid" || { fail "$n" "ended before port $p answered"; return 1; }
      [ $((($(date +%s%N) - t0) / 1000000000)) -lt "${START_TIMEOUT:-60}" ] || { fail "$n" "port $p does not answer"; return 1; }
      sleep 0.005
    done
  done
  local ms=$((($(date +%s%N) - t0) / 1000000))
  alive "$pid" || { fail "$n" "ended, though its ports answer"; return 1; }
  echo "$n pid $pid port $ports ready in $ms ms"
}

start() {
  if alive "$(cat "$RUN/$1.pid" 2>/dev/null)"; then echo "$1 already runs" >&2; return 1; fi
  case $1 in
    rabbitmq)
      rm -rf "$RUN/rmq"; mkdir -p "$RUN/rmq"   # durable queues of earlier runs go
      cat >"$RUN/rmq/rabbitmq.conf" <<C
listeners.tcp.1 = 127.0.0.1:35672
mqtt.listeners.tcp.1 = 127.0.0.1:31883
loopback_users = none
stomp.listeners.tcp.1 = 127.0.0.1:31613
mqtt.allow_anonymous = true
log.console = true
log.console.level = warning
C
      echo '[rabbitmq_mqtt,rabbitmq_stomp].' >"$RUN/rmq/enabled_plugins"
      export RABBITMQ_NODENAME=kbench@localhost RABBITMQ_DIST_PORT=35673 ERL_EPMD_PORT=34369 ERL_EPMD_ADDRESS=127.0.0.1 HOME=$RUN/rmq
      export RABBITMQ_CONFIG_FILE=$RUN/rmq/rabbitmq RABBITMQ_ENABLED_PLUGINS_FILE=$RUN/rmq/enabled_plugins
      export RABBITMQ_MNESIA_BASE=$RUN/rmq/db RABBITMQ_LOG_BASE=$RUN/rmq/log RABBITMQ_LOGS=- RABBITMQ_CONF_ENV_FILE=/dev/null
      export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
      up rabbitmq "31883 31613 35672" "${RABBITMQ_SBIN:-$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin)}/rabbitmq-server" ;;
    mosquitto)
      printf 'listener 21884 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\n' >"$RUN/mosquitto.conf"
      up mosquitto 21884 "${MOSQUITTO:-$(PATH=$PATH:/usr/sbin command -v mosquitto)}" -c "$RUN/mosquitto.conf" ;;
    sio) up sio 18012 node "$HERE/sio-server.js" 18012 ;;
    node-docs) up node-docs 18091 node "$HERE/node-docs.js" 18091 ;;
    hello) up hello 18090 "$KBENCH/hello" 18090 ;;
    echo) up echo 18099 "$KBENCH/kbench" echo --addr 127.0.0.1:18099 ;;
    nginx)
      mkdir -p "$RUN/www"; printf '{"hello":"world"}' >"$RUN/www/hello.json"
      cat >"$RUN/nginx.conf" <<C
daemon off; worker_processes 1; pid $RUN/nginx.master; error_log $RUN/nginx.err;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; types { application/json json; } open_file_cache max=100;
  client_body_temp_path $RUN/www; proxy_temp_path $RUN/www; fastcgi_temp_path $RUN/www; uwsgi_temp_path $RUN/www; scgi_temp_path $RUN/www;
  server { listen 127.0.0.1:18080; root $RUN/www; } }
C
      up nginx 18080 nginx -c "$RUN/nginx.conf" ;;
    ours)
      if [ -z "$OURS_CMD" ]; then echo "ours: OURS_CMD is not set; export it (see benches/README.md)" >&2; return 1; fi
      rm -rf "$RUN/ours"; mkdir -p "$RUN/ours"; export OURS_DATA=$RUN/ours
      up ours "${OURS_PORTS:-${OURS_PORT:-7511 7512 5672 1883 61613}}" bash -c "exec $OURS_CMD" ;;
    *) echo "unknown peer $1" >&2; return 2 ;;
  esac
}

stop() {
  local p; p=$(cat "$RUN/$1.pid" 2>/dev/null) || return 0
  local kids; kids=$(pgrep -P "$p")
  kill -TERM "$p" $kids 2>/dev/null
  for _ in $(seq 200); do alive "$p" || break; sleep 0.05; done
  kill -KILL "$p" 2>/dev/null; rm -f "$RUN/$1.pid"
  if [ "$1" = rabbitmq ]; then ERL_EPMD_PORT=34369 epmd -kill >/dev/null 2>&1; fi # its own name server
  return 0
}

cmd=$1; shift; rc=0
for n in "$@"; do
  case $cmd in
    start) start "$n" || rc=1 ;;
    stop) stop "$n" ;;
    pid) p=$(cat "$RUN/$n.pid" 2>/dev/null); alive "$p" && echo "$p" ;;
    *) echo "peers.sh start|stop|pid NAME..." >&2; exit 2 ;;
  esac
done
exit $rc
