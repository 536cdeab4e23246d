import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;

/** Uses a token through SunPKCS11: args are the configuration file, the PIN and the alias of a key. */
public final class UseToken {
    private static final byte[] MESSAGE = "what was shown is what was signed".getBytes();
    private static Provider token;

    public static void main(String[] args) throws Exception {
        token = Security.getProvider("SunPKCS11").configure(args[0]);
        Security.addProvider(token);
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, args[1].toCharArray());
        System.out.println("aliases " + Collections.list(store.aliases()));

        PrivateKey kept = (PrivateKey) store.getKey(args[2], null);
        Certificate certificate = store.getCertificate(args[2]);
        String family = kept.getAlgorithm().equals("RSA") ? "RSA" : "ECDSA";
        for (String digest : new String[] {"SHA256", "SHA384", "SHA512"}) {
            sign(digest + "with" + family, kept, certificate.getPublicKey());
        }
        if (family.equals("RSA")) {
            sign("RSASSA-PSS", kept, certificate.getPublicKey());
        }

        KeyPairGenerator pairs = KeyPairGenerator.getInstance("EC", token);
        pairs.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair fresh = pairs.generateKeyPair();
        sign("SHA256withECDSA", fresh.getPrivate(), fresh.getPublic());
        pairs = KeyPairGenerator.getInstance("RSA", token);
        pairs.initialize(2048);
        fresh = pairs.generateKeyPair();
        sign("SHA256withRSA", fresh.getPrivate(), fresh.getPublic());

        for (String name : new String[] {"SHA-1", "SHA-256", "SHA-384", "SHA-512"}) {
            MessageDigest onToken = MessageDigest.getInstance(name, token);
            onToken.update(MESSAGE, 0, 10);
            onToken.update(MESSAGE, 10, MESSAGE.length - 10);
            byte[] here = MessageDigest.getInstance(name, "SUN").digest(MESSAGE);
            require(Arrays.equals(onToken.digest(), here), name);
        }

        KeyGenerator keys = KeyGenerator.getInstance("AES", token);
        keys.init(256);
        SecretKey secret = keys.generateKey();
        byte[] random = new byte[28];
        SecureRandom.getInstance("PKCS11", token).nextBytes(random);
        byte[] iv = Arrays.copyOf(random, 16);
        byte[] nonce = Arrays.copyOfRange(random, 16, 28);
        encrypt("AES/CBC/PKCS5Padding", secret, new IvParameterSpec(iv));
        encrypt("AES/GCM/NoPadding", secret, new GCMParameterSpec(128, nonce));
        System.out.println("random " + HexFormat.of().formatHex(random));
    }

    private static void sign(String algorithm, PrivateKey key, java.security.PublicKey publicKey) throws Exception {
        Signature signer = signature(algorithm, token);
        signer.initSign(key);
        signer.update(MESSAGE, 0, 5);
        signer.update(MESSAGE, 5, MESSAGE.length - 5);
        byte[] value = signer.sign();

        Signature onToken = signature(algorithm, token);
        onToken.initVerify(publicKey);
        onToken.update(MESSAGE);
        require(onToken.verify(value), algorithm + " on the token");

        java.security.PublicKey plain = java.security.KeyFactory
            .getInstance(publicKey.getAlgorithm(), publicKey.getAlgorithm().equals("RSA") ? "SunRsaSign" : "SunEC")
            .generatePublic(new java.security.spec.X509EncodedKeySpec(publicKey.getEncoded()));
        Signature here = signature(algorithm, plain.getAlgorithm().equals("RSA")
            ? Security.getProvider("SunRsaSign") : Security.getProvider("SunEC"));
        here.initVerify(plain);
        here.update(MESSAGE);
        require(here.verify(value), algorithm + " here");

        onToken.initVerify(publicKey);
        onToken.update("something else".getBytes());
        require(!onToken.verify(value), algorithm + " refuses another message");
    }

    private static Signature signature(String algorithm, Provider provider) throws Exception {
        Signature signature = Signature.getInstance(algorithm, provider);
        if (algorithm.equals("RSASSA-PSS")) {
            signature.setParameter(new java.security.spec.PSSParameterSpec(
                "SHA-256", "MGF1", java.security.spec.MGF1ParameterSpec.SHA256, 32, 1));
        }
        return signature;
    }

    private static void encrypt(String algorithm, SecretKey key, java.security.spec.AlgorithmParameterSpec parameters)
            throws Exception {
        Cipher cipher = Cipher.getInstance(algorithm, token);
        cipher.init(Cipher.ENCRYPT_MODE, key, parameters);
        if (algorithm.contains("GCM")) {
            cipher.updateAAD("bound".getBytes());
        }
        byte[] secret = cipher.doFinal(MESSAGE);
        require(!Arrays.equals(secret, MESSAGE), algorithm + " changes the message");
        cipher = Cipher.getInstance(algorithm, token);
        cipher.init(Cipher.DECRYPT_MODE, key, parameters);
        if (algorithm.contains("GCM")) {
            cipher.updateAAD("bound".getBytes());
        }
        require(Arrays.equals(cipher.doFinal(secret), MESSAGE), algorithm);
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
        System.out.println("ok " + what);
    }
}
