#!/usr/bin/env bash
# Installs what the tests need and the machine lacks, by package name: Debian packages where that is allowed, and the
# npm and PyPI packages of each folder below tests/clients. Says what it cannot install.
set -euo pipefail
cd "$(dirname "$0")"

# command=package
NEEDED="curl=curl nc.openbsd=netcat-openbsd nc.traditional=netcat-traditional ip=iproute2 unshare=util-linux nsenter=util-linux mount=mount kill=procps script=bsdutils
    node=nodejs npm=npm python3=python3 chromium=chromium cc=gcc c++=g++ amqp-publish=amqp-tools
    mosquitto_pub=mosquitto-clients rabbitmqctl=rabbitmq-server"

missing=
for pair in $NEEDED; do
    PATH=$PATH:/usr/sbin command -v "${pair%%=*}" >/dev/null || missing+=" ${pair#*=}"
done
# A module of Python that Debian packs apart.
python3 -c 'import ensurepip' 2>/dev/null || missing+=" python3-venv"

if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        $sudo apt-get update -qq
        # shellcheck disable=SC2086
        $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
        # Debian starts it at once on the port of AMQP; the tests start their own elsewhere.
        case $missing in *rabbitmq-server*) $sudo service rabbitmq-server stop || true ;; esac
    else
        echo "cannot install$missing: neither root nor sudo without a password; install them and run again" >&2
        exit 1
    fi
fi

for manifest in clients/*/package.json; do
    [ -e "$manifest" ] || continue
    folder=$(dirname "$manifest")
    [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] && continue
    echo "npm ci in tests/$folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
    touch "$folder/node_modules/.package-lock.json"
done

for requirements in clients/*/requirements.txt; do
    [ -e "$requirements" ] || continue
    folder=$(dirname "$requirements")
    [ "$folder/.venv/installed" -nt "$requirements" ] && continue
    echo "pip install in tests/$folder"
    rm -rf "$folder/.venv"
    python3 -m venv "$folder/.venv"
    "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$requirements"
    touch "$folder/.venv/installed"
done
