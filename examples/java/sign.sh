#!/bin/sh
# Makes a key pair with a certificate by keytool, then runs Sign.java:  ukey run -- sh sign.sh
set -eu
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
printf 'name=ukey\nlibrary=%s\nslotListIndex=0\n' "$PKCS11_MODULE" >"$settings"
keytool -genkeypair -alias signer -keyalg EC -groupname secp256r1 -dname CN=signer \
    -keystore NONE -storetype PKCS11 -storepass:env UKEY_PIN \
    -providerClass sun.security.pkcs11.SunPKCS11 -providerArg "$settings"
java "$(dirname "$0")/Sign.java"
