#!/usr/bin/env bash
# The same stack by hand, as fast as a person would write it down: the floor that the playbook is measured against.
# Reads the pinned requirements on its standard input.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends redis-server python3-venv >/dev/null

sed -i -e 's/^appendonly no/appendonly yes/' /etc/redis/redis.conf
systemctl restart redis-server
systemctl enable --quiet redis-server

useradd --system --home-dir /var/lib/celery --shell /usr/sbin/nologin celery
mkdir -p /opt/celery /etc/celery
cat >/opt/celery/constraints.txt
python3 -m venv /opt/celery/venv
/opt/celery/venv/bin/pip install --quiet --disable-pip-version-check --constraint /opt/celery/constraints.txt 'celery[redis]'
cat >/opt/celery/app.py <<'PYTHON'
from celery import Celery

app = Celery("app", broker="redis://127.0.0.1/0", backend="redis://127.0.0.1/0")


@app.task
def add(x, y):
    return x + y
PYTHON

cat >/etc/systemd/system/celery-worker.service <<'UNIT'
[Unit]
After=network-online.target redis-server.service

[Service]
User=celery
StateDirectory=celery
WorkingDirectory=/var/lib/celery
Environment=PYTHONPATH=/opt/celery
ExecStart=/opt/celery/venv/bin/celery -A app worker --loglevel=INFO
KillMode=mixed
Restart=always

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now celery-worker
cd /opt/celery && /opt/celery/venv/bin/python -c 'import app; assert app.add.delay(2, 3).get(timeout=30) == 5'
