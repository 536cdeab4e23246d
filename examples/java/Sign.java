import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.ProviderException;
import java.security.Security;
import java.security.Signature;
import java.util.List;

/**
 * Signs with a key that is pulled out in between: SunPKCS11's KeyStore, and ukey by its commands.
 *
 * <pre>ukey run -- sh sign.sh</pre>
 */
public final class Sign {
    private static final char[] PIN = System.getenv("UKEY_PIN").toCharArray();

    public static void main(String[] arguments) throws Exception {
        System.out.println("signed: " + sign(load()) + " bytes");

        KeyStore store = load();
        ukey("key", "unplug", "key-1");
        try {
            sign(store);
            throw new AssertionError("a key that is gone has signed");
        } catch (ProviderException | java.security.GeneralSecurityException gone) {
            System.out.println("the key is gone: " + gone.getMessage());
        }
        ukey("key", "plug", "key-1");
        System.out.println("signed again: " + sign(load()) + " bytes");
    }

    /** Opens the key as a new provider would: what was open before has gone with it. */
    private static KeyStore load() throws Exception {
        String settings = "--name=ukey\nlibrary=" + System.getenv("PKCS11_MODULE") + "\nslotListIndex=0\n";
        Provider provider = Security.getProvider("SunPKCS11").configure(settings);
        KeyStore store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, PIN);
        return store;
    }

    private static int sign(KeyStore store) throws Exception {
        Signature signature = Signature.getInstance("SHA256withECDSA", store.getProvider());
        signature.initSign((PrivateKey) store.getKey("signer", null));
        signature.update("letter".getBytes());
        return signature.sign().length;
    }

    /** Runs ukey, which finds the rack by UKEY_HOME as we find the module by PKCS11_MODULE. */
    private static void ukey(String... words) throws Exception {
        List<String> command = new java.util.ArrayList<>(List.of("ukey"));
        command.addAll(List.of(words));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String told = new String(process.getInputStream().readAllBytes());
        if (process.waitFor() != 0) {
            throw new IllegalStateException(told);
        }
    }
}
