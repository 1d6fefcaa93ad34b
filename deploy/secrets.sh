#!/usr/bin/env bash
# Makes the files of secrets/ that docker-compose.yml mounts, those that are missing; what is there stays.
#
#   deploy/secrets.sh                               to try it: each made up, and the compose file's own MongoDB
#   JWT_SECRET=… MONGODB_URI=… deploy/secrets.sh    with the task service's secret for tokens, and its database
#
# SECRETS_DIR is another folder to make them in.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${SECRETS_DIR:-secrets}

random_base64() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

# The containers' users must be able to read the files; on this machine nobody but you enters the directory.
mkdir -p "$folder"
chmod 700 "$folder"
keep() {
  if [ -s "$folder/$1" ]; then return; fi
  printf '%s\n' "$2" >"$folder/$1"
  chmod 644 "$folder/$1"
  echo "made $folder/$1" >&2
}
keep mongodb_uri "${MONGODB_URI:-mongodb://mongo:27017/?replicaSet=rs0}"
keep master_key "$(random_base64)"
keep jwt_secret "${JWT_SECRET:-$(random_base64)}"
keep receiver_secret "$(random_base64)"
keep grafana_password "$(random_base64)"
