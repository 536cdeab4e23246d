#!/bin/sh
# Breaks, pulls and plugs a key while pkcs11-tool uses it. There is no Python in this: the rack's
# control socket takes a line of JSON and gives one back, and socat brings them there.
#
#     ukey run -- sh drive.sh
set -eu

rack() { # rack COMMAND ARGUMENTS: the answer, on a line
    answer=$(printf '{"version": 1, "command": "%s", "arguments": %s}\n' "$1" "$2" |
        socat -t 20 - "UNIX-CONNECT:$UKEY_HOME/control.sock")
    case $answer in '{"ok": true'*) echo "$answer" ;; *) echo "$answer" >&2; return 1 ;; esac
}
tool() { pkcs11-tool --module "$PKCS11_MODULE" --login --pin "$UKEY_PIN" "$@" 2>&1; }
sign() { echo letter | tool --sign --mechanism ECDSA-SHA256 --label signer --output-file /dev/null; }

tool --keypairgen --key-type EC:prime256v1 --label signer --usage-sign >/dev/null
sign >/dev/null && echo "it signs"

# At C_SignInit: when C_Sign fails, pkcs11-tool signs by C_SignUpdate and C_SignFinal, and says nothing.
rack fault.add '{"name": "hiccup", "function": "C_SignInit", "at": 1, "return": "CKR_DEVICE_ERROR"}' >/dev/null
sign | grep -o CKR_DEVICE_ERROR
sign >/dev/null && echo "it signs again"
rack fault.clear '{"name": "hiccup"}' >/dev/null

rack key.unplug '{"name": "key-1"}' >/dev/null
sign | grep -o "No slot with a token was found"
rack key.plug '{"name": "key-1"}' >/dev/null
sign >/dev/null && echo "it is back"

rack trace '{}' | grep -o '"fault": "hiccup"' # stands with the call that it met
