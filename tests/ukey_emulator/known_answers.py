"""Which mechanisms have published known answers that go through the C functions, and which not."""

from ukey_emulator.terms import CKM

# Vector file → the mechanisms that its valid tests use.
_KNOWN = {
    "aes_cbc_pkcs5": "AES_CBC_PAD",
    "aes_ccm": "AES_CCM",
    "aes_cmac": "AES_CMAC AES_CMAC_GENERAL",
    "aes_gcm": "AES_GCM",
    "aes_gmac": "AES_GMAC",
    "aes_kwp": "AES_KEY_WRAP_KWP AES_KEY_WRAP_PAD",
    "aes_wrap": "AES_KEY_WRAP",
    "aes_xts": "AES_XTS",
    "chacha20_poly1305": "CHACHA20_POLY1305",
    "dsa_2048_224_sha224_p1363": "DSA DSA_SHA224",
    "dsa_2048_256_sha256_p1363": "DSA DSA_SHA256",
    "ecdh_secp224r1_ecpoint": "ECDH1_DERIVE",
    "ecdh_secp256r1_ecpoint": "ECDH1_DERIVE",
    "ecdh_secp384r1_ecpoint": "ECDH1_DERIVE",
    "ecdh_secp521r1_ecpoint": "ECDH1_DERIVE",
    "ecdsa_brainpoolP256r1_sha256_p1363": "ECDSA ECDSA_SHA256",
    "ecdsa_secp224r1_sha256_p1363": "ECDSA ECDSA_SHA256",
    "ecdsa_secp224r1_sha3_224": "ECDSA ECDSA_SHA3_224",
    "ecdsa_secp256k1_sha256_p1363": "ECDSA ECDSA_SHA256",
    "ecdsa_secp256r1_sha256_p1363": "ECDSA ECDSA_SHA256",
    "ecdsa_secp256r1_sha3_256": "ECDSA ECDSA_SHA3_256",
    "ecdsa_secp384r1_sha384_p1363": "ECDSA ECDSA_SHA384",
    "ecdsa_secp384r1_sha3_384": "ECDSA ECDSA_SHA3_384",
    "ecdsa_secp521r1_sha3_512": "ECDSA ECDSA_SHA3_512",
    "ecdsa_secp521r1_sha512_p1363": "ECDSA ECDSA_SHA512",
    "ed25519": "EDDSA",
    "ed448": "EDDSA",
    "hkdf_sha1": "HKDF_DATA HKDF_DERIVE",
    "hkdf_sha256": "HKDF_DATA HKDF_DERIVE",
    "hkdf_sha384": "HKDF_DATA HKDF_DERIVE",
    "hkdf_sha512": "HKDF_DATA HKDF_DERIVE",
    "hmac_sha1": "SHA_1_HMAC SHA_1_HMAC_GENERAL",
    "hmac_sha224": "SHA224_HMAC SHA224_HMAC_GENERAL",
    "hmac_sha256": "SHA256_HMAC SHA256_HMAC_GENERAL",
    "hmac_sha384": "SHA384_HMAC SHA384_HMAC_GENERAL",
    "hmac_sha3_224": "SHA3_224_HMAC SHA3_224_HMAC_GENERAL",
    "hmac_sha3_256": "SHA3_256_HMAC SHA3_256_HMAC_GENERAL",
    "hmac_sha3_384": "SHA3_384_HMAC SHA3_384_HMAC_GENERAL",
    "hmac_sha3_512": "SHA3_512_HMAC SHA3_512_HMAC_GENERAL",
    "hmac_sha512": "SHA512_HMAC SHA512_HMAC_GENERAL",
    "hmac_sha512_224": "SHA512_224_HMAC SHA512_224_HMAC_GENERAL",
    "hmac_sha512_256": "SHA512_256_HMAC SHA512_256_HMAC_GENERAL",
    "kbkdf_pipelines": "SP800_108_DOUBLE_PIPELINE_KDF SP800_108_FEEDBACK_KDF",
    "mldsa_44_sign_noseed": "ML_DSA",
    "mldsa_44_sign_seed": "ML_DSA",
    "mldsa_44_verify": "ML_DSA",
    "mldsa_65_sign_noseed": "ML_DSA",
    "mldsa_65_sign_seed": "ML_DSA",
    "mldsa_65_verify": "ML_DSA",
    "mldsa_87_sign_seed": "ML_DSA",
    "mldsa_87_verify": "ML_DSA",
    "mlkem_1024": "ML_KEM",
    "mlkem_512": "ML_KEM",
    "mlkem_512_encaps": "",
    "mlkem_512_keygen_seed": "",
    "mlkem_768": "ML_KEM",
    "nist_aes_cbc": "AES_CBC AES_CBC_ENCRYPT_DATA AES_CBC_PAD AES_MAC AES_MAC_GENERAL",
    "nist_aes_ccm": "AES_CCM",
    "nist_aes_cfb128": "AES_CFB128",
    "nist_aes_cfb8": "AES_CFB8",
    "nist_aes_cmac": "AES_CMAC AES_CMAC_GENERAL",
    "nist_aes_ctr": "AES_CTR",
    "nist_aes_ecb": "AES_ECB AES_ECB_ENCRYPT_DATA AES_MAC AES_MAC_GENERAL",
    "nist_aes_gcm": "AES_GCM",
    "nist_aes_kwp": "AES_KEY_WRAP_KWP AES_KEY_WRAP_PAD",
    "nist_aes_ofb": "AES_OFB",
    "nist_aes_wrap": "AES_KEY_WRAP",
    "nist_aes_xts": "AES_XTS",
    "nist_blowfish_cbc": "BLOWFISH_CBC BLOWFISH_CBC_PAD",
    "nist_camellia_cbc": "CAMELLIA_CBC CAMELLIA_CBC_ENCRYPT_DATA CAMELLIA_CBC_PAD",
    "nist_camellia_ecb": (
        "CAMELLIA_ECB CAMELLIA_ECB_ENCRYPT_DATA CAMELLIA_MAC CAMELLIA_MAC_GENERAL"
    ),
    "nist_chacha20": "CHACHA20",
    "nist_des3_cbc": "DES3_CBC DES3_CBC_ENCRYPT_DATA DES3_CBC_PAD DES3_MAC DES3_MAC_GENERAL",
    "nist_des3_cmac": "DES3_CMAC DES3_CMAC_GENERAL",
    "nist_des3_ecb": "DES3_ECB DES3_ECB_ENCRYPT_DATA DES3_MAC DES3_MAC_GENERAL",
    "nist_dsa": ("DSA DSA_SHA1 DSA_SHA224 DSA_SHA256 DSA_SHA384 DSA_SHA512 PUB_KEY_FROM_PRIV_KEY"),
    "nist_ecdh": "ECDH1_COFACTOR_DERIVE ECDH1_DERIVE PUB_KEY_FROM_PRIV_KEY",
    "nist_ecdsa": "ECDSA ECDSA_SHA1 ECDSA_SHA224 ECDSA_SHA256 ECDSA_SHA384 ECDSA_SHA512",
    "nist_ed25519_rfc8032": "EDDSA PUB_KEY_FROM_PRIV_KEY",
    "nist_ed448_rfc8032": "EDDSA PUB_KEY_FROM_PRIV_KEY",
    "nist_hash_mldsa_siggen": (
        "HASH_ML_DSA HASH_ML_DSA_SHA224 HASH_ML_DSA_SHA256 HASH_ML_DSA_SHA384 "
        "HASH_ML_DSA_SHA3_224 HASH_ML_DSA_SHA3_256 HASH_ML_DSA_SHA3_384 "
        "HASH_ML_DSA_SHA3_512 HASH_ML_DSA_SHA512 HASH_ML_DSA_SHAKE128 "
        "HASH_ML_DSA_SHAKE256"
    ),
    "nist_hash_mldsa_sigver": "HASH_ML_DSA HASH_ML_DSA_SHA224",
    "nist_hkdf_sha1": "HKDF_DATA HKDF_DERIVE",
    "nist_hkdf_sha256": "HKDF_DATA HKDF_DERIVE",
    "nist_hmac_sha1": "SHA_1_HMAC SHA_1_HMAC_GENERAL",
    "nist_hmac_sha224": "SHA224_HMAC SHA224_HMAC_GENERAL",
    "nist_hmac_sha256": "SHA256_HMAC SHA256_HMAC_GENERAL",
    "nist_hmac_sha384": "SHA384_HMAC SHA384_HMAC_GENERAL",
    "nist_hmac_sha512": "SHA512_HMAC SHA512_HMAC_GENERAL",
    "nist_kbkdf_counter": "SP800_108_COUNTER_KDF",
    "nist_poly1305": "POLY1305",
    "nist_rsa_15": (
        "RSA_PKCS RSA_X_509 SHA1_RSA_PKCS SHA224_RSA_PKCS SHA256_RSA_PKCS SHA384_RSA_PKCS "
        "SHA512_RSA_PKCS"
    ),
    "nist_rsa_pss": (
        "RSA_PKCS_PSS SHA1_RSA_PKCS_PSS SHA224_RSA_PKCS_PSS SHA256_RSA_PKCS_PSS "
        "SHA384_RSA_PKCS_PSS SHA512_RSA_PKCS_PSS"
    ),
    "nist_seed_cbc": "SEED_CBC SEED_CBC_ENCRYPT_DATA SEED_CBC_PAD",
    "nist_seed_ecb": "SEED_ECB SEED_ECB_ENCRYPT_DATA SEED_MAC SEED_MAC_GENERAL",
    "nist_sha3_224": "SHA3_224 SHA3_224_KEY_DERIVATION",
    "nist_sha3_256": "SHA3_256 SHA3_256_KEY_DERIVATION",
    "nist_sha3_384": "SHA3_384 SHA3_384_KEY_DERIVATION",
    "nist_sha3_512": "SHA3_512 SHA3_512_KEY_DERIVATION",
    "nist_sha_1": "SHA1_KEY_DERIVATION SHA_1",
    "nist_sha_224": "SHA224 SHA224_KEY_DERIVATION",
    "nist_sha_256": "SHA256 SHA256_KEY_DERIVATION",
    "nist_sha_384": "SHA384 SHA384_KEY_DERIVATION",
    "nist_sha_512": "SHA512 SHA512_KEY_DERIVATION",
    "nist_sha_512_224": "SHA512_224 SHA512_224_KEY_DERIVATION",
    "nist_sha_512_256": "SHA512_256 SHA512_256_KEY_DERIVATION",
    "nist_shake128": "SHAKE_128_KEY_DERIVATION",
    "nist_shake256": "SHAKE_256_KEY_DERIVATION",
    "nist_x25519_rfc7748": "ECDH1_DERIVE",
    "nist_x448_rfc7748": "ECDH1_DERIVE",
    "pbkdf2_hmacsha1": "PKCS5_PBKD2",
    "pbkdf2_hmacsha224": "PKCS5_PBKD2",
    "pbkdf2_hmacsha256": "PKCS5_PBKD2",
    "pbkdf2_hmacsha384": "PKCS5_PBKD2",
    "pbkdf2_hmacsha512": "PKCS5_PBKD2",
    "rsa_oaep_2048_sha1_mgf1sha1": "RSA_PKCS_OAEP",
    "rsa_oaep_2048_sha224_mgf1sha1": "RSA_PKCS_OAEP",
    "rsa_oaep_2048_sha256_mgf1sha256": "RSA_PKCS_OAEP",
    "rsa_oaep_2048_sha384_mgf1sha384": "RSA_PKCS_OAEP",
    "rsa_oaep_2048_sha512_mgf1sha512": "RSA_PKCS_OAEP",
    "rsa_pkcs1_2048": "RSA_PKCS",
    "rsa_pss_2048_sha1_mgf1_20": "RSA_PKCS_PSS SHA1_RSA_PKCS_PSS",
    "rsa_pss_2048_sha256_mgf1_0": "RSA_PKCS_PSS SHA256_RSA_PKCS_PSS",
    "rsa_pss_2048_sha256_mgf1_32": "RSA_PKCS_PSS SHA256_RSA_PKCS_PSS",
    "rsa_pss_2048_sha384_mgf1_48": "RSA_PKCS_PSS SHA384_RSA_PKCS_PSS",
    "rsa_pss_4096_sha512_mgf1_64": "RSA_PKCS_PSS SHA512_RSA_PKCS_PSS",
    "rsa_signature_2048_sha224": "SHA224_RSA_PKCS",
    "rsa_signature_2048_sha256": "SHA256_RSA_PKCS",
    "rsa_signature_2048_sha384": "SHA384_RSA_PKCS",
    "rsa_signature_2048_sha3_224": "SHA3_224_RSA_PKCS",
    "rsa_signature_2048_sha3_256": "SHA3_256_RSA_PKCS",
    "rsa_signature_2048_sha3_384": "SHA3_384_RSA_PKCS",
    "rsa_signature_2048_sha3_512": "SHA3_512_RSA_PKCS",
    "rsa_signature_2048_sha512": "SHA512_RSA_PKCS",
    "x25519": "ECDH1_DERIVE",
    "x448": "ECDH1_DERIVE",
}
# Why there are none → mechanisms.
_WITHOUT = {
    "a fresh key is never the same": (
        "RSA_PKCS_KEY_PAIR_GEN DSA_KEY_PAIR_GEN DSA_PARAMETER_GEN "
        "EC_KEY_PAIR_GEN EC_EDWARDS_KEY_PAIR_GEN EC_MONTGOMERY_KEY_PAIR_GEN "
        "ML_DSA_KEY_PAIR_GEN ML_KEM_KEY_PAIR_GEN AES_KEY_GEN AES_XTS_KEY_GEN DES2_KEY_GEN "
        "DES3_KEY_GEN CHACHA20_KEY_GEN POLY1305_KEY_GEN GENERIC_SECRET_KEY_GEN HKDF_KEY_GEN "
        "SHA_1_KEY_GEN SHA224_KEY_GEN SHA256_KEY_GEN SHA384_KEY_GEN SHA512_KEY_GEN "
        "SHA512_224_KEY_GEN SHA512_256_KEY_GEN SHA3_224_KEY_GEN SHA3_256_KEY_GEN "
        "SHA3_384_KEY_GEN SHA3_512_KEY_GEN CAMELLIA_KEY_GEN SEED_KEY_GEN BLOWFISH_KEY_GEN"
    ),
    "only PKCS#11 has it, and publishes no answers": (
        "CONCATENATE_BASE_AND_KEY CONCATENATE_BASE_AND_DATA CONCATENATE_DATA_AND_BASE "
        "XOR_BASE_AND_DATA EXTRACT_KEY_FROM_KEY AES_KEY_WRAP_PKCS7 RSA_AES_KEY_WRAP "
        "ECDH_AES_KEY_WRAP ECDH_COF_AES_KEY_WRAP ECDH_X_AES_KEY_WRAP"
    ),
    "of mechanisms before those of 3.0, and stands in test_old_mechanisms.py": (
        "DES_KEY_GEN DES_ECB DES_CBC DES_CBC_PAD DES_ECB_ENCRYPT_DATA DES_CBC_ENCRYPT_DATA DES_MAC "
        "DES_MAC_GENERAL MD5 MD5_HMAC MD5_HMAC_GENERAL MD5_KEY_DERIVATION MD5_RSA_PKCS"
    ),
    "neither Wycheproof nor the packages with NIST's files have DSA and PSS with SHA-3": (
        "DSA_SHA3_224 DSA_SHA3_256 DSA_SHA3_384 DSA_SHA3_512 "
        "SHA3_224_RSA_PKCS_PSS SHA3_256_RSA_PKCS_PSS SHA3_384_RSA_PKCS_PSS SHA3_512_RSA_PKCS_PSS"
    ),
}


def _named(words: str) -> frozenset[CKM]:
    return frozenset(CKM[word] for word in words.split())


KNOWN = {stem: _named(words) for stem, words in _KNOWN.items()}
WITHOUT = {reason: _named(words) for reason, words in _WITHOUT.items()}
