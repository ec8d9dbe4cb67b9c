#!/usr/bin/env bash
# A formula: run with the action's id as its only argument, in an empty folder, with the secrets that the action names and no
# others. Its exit code is the result's.
set -euo pipefail

echo "hello from $1: ${DISPATCH_PARAM_GREETING:-nothing to say}"
