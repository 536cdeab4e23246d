import java.io.File;
import java.security.Key;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.Signature;
import java.security.cert.Certificate;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.TreeSet;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Puts entries into the key store of a token, or uses those that an earlier process has put there.
 * Args: put or use, the configuration file, the PIN, an AES key in hex, a password, PKCS#12 files under it.
 */
public final class KeepEntries {
    private static final byte[] MESSAGE = "what was shown is what was signed".getBytes();
    private static final char[] PASSWORD = "in memory only".toCharArray();

    public static void main(String[] args) throws Exception {
        Provider token = Security.getProvider("SunPKCS11").configure(args[1]);
        Security.addProvider(token);
        KeyStore kept = KeyStore.getInstance("PKCS11", token);
        kept.load(null, args[2].toCharArray());
        SecretKey secret = new SecretKeySpec(HexFormat.of().parseHex(args[3]), "AES");
        KeyStore soft = KeyStore.getInstance("PKCS12");
        soft.load(null, null);
        for (String file : Arrays.copyOfRange(args, 5, args.length)) {
            KeyStore bag = KeyStore.getInstance(new File(file), args[4].toCharArray());
            for (String alias : Collections.list(bag.aliases())) {
                Key key = bag.getKey(alias, args[4].toCharArray());
                soft.setKeyEntry(alias, key, PASSWORD, bag.getCertificateChain(alias));
            }
        }
        if (args[0].equals("put")) {
            for (String alias : Collections.list(soft.aliases())) {
                kept.setKeyEntry(alias, soft.getKey(alias, PASSWORD), null, soft.getCertificateChain(alias));
            }
            kept.setEntry("vault", new KeyStore.SecretKeyEntry(secret), null);
        } else {
            use(token, kept, soft, secret);
        }
    }

    private static void use(Provider token, KeyStore kept, KeyStore soft, SecretKey secret) throws Exception {
        for (String alias : new TreeSet<>(Collections.list(kept.aliases()))) {
            KeyStore.Entry entry = kept.getEntry(alias, null);
            if (entry instanceof KeyStore.PrivateKeyEntry pair) {
                String family = pair.getPrivateKey().getAlgorithm();
                require(Arrays.equals(kept.getCertificateChain(alias), soft.getCertificateChain(alias)), alias);
                sign(token, pair.getPrivateKey(), soft.getCertificate(alias), family);
                System.out.println("ok " + alias + " " + family);
            } else if (entry instanceof KeyStore.SecretKeyEntry own) {
                IvParameterSpec iv = new IvParameterSpec(new byte[16]);
                Cipher there = Cipher.getInstance("AES/CBC/PKCS5Padding", token);
                there.init(Cipher.ENCRYPT_MODE, own.getSecretKey(), iv);
                Cipher here = Cipher.getInstance("AES/CBC/PKCS5Padding", "SunJCE");
                here.init(Cipher.DECRYPT_MODE, secret, iv);
                require(Arrays.equals(here.doFinal(there.doFinal(MESSAGE)), MESSAGE), alias);
                System.out.println("ok " + alias + " " + own.getSecretKey().getAlgorithm());
            }
        }
        for (String alias : Collections.list(kept.aliases())) {
            kept.deleteEntry(alias);
        }
        System.out.println("left " + kept.size());
    }

    private static void sign(Provider token, PrivateKey key, Certificate certificate, String family) throws Exception {
        String algorithm = "SHA256with" + (family.equals("RSA") ? "RSA" : "ECDSA");
        Signature signer = Signature.getInstance(algorithm, token);
        signer.initSign(key);
        signer.update(MESSAGE);
        Signature verifier = Signature.getInstance(algorithm, family.equals("RSA") ? "SunRsaSign" : "SunEC");
        verifier.initVerify(certificate);
        verifier.update(MESSAGE);
        require(verifier.verify(signer.sign()), algorithm);
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
