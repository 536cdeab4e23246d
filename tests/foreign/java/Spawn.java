import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.Provider;
import java.security.Security;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Threads sign through SunPKCS11 while others start programs: args are configuration and PIN. */
public final class Spawn {
    private static final int SIGNERS = 6, SIGNATURES = 20, STARTERS = 2, PROGRAMS = 10;
    private static final byte[] MESSAGE = "what was shown is what was signed".getBytes();

    public static void main(String[] args) throws Exception {
        Provider token = Security.getProvider("SunPKCS11").configure(args[0]);
        Security.addProvider(token);
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, args[1].toCharArray());
        KeyPairGenerator pairs = KeyPairGenerator.getInstance("EC", token);
        pairs.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair pair = pairs.generateKeyPair();
        byte[] here = MessageDigest.getInstance("SHA-256", "SUN").digest(MESSAGE);

        Callable<Integer> signs = () -> {
            int right = 0;
            for (int turn = 0; turn < SIGNATURES; turn++) {
                Signature signature = Signature.getInstance("SHA256withECDSA", token);
                signature.initSign(pair.getPrivate());
                signature.update(MESSAGE);
                byte[] made = signature.sign();
                Signature check = Signature.getInstance("SHA256withECDSA", "SunEC");
                check.initVerify(pair.getPublic());
                check.update(MESSAGE);
                byte[] onToken = MessageDigest.getInstance("SHA-256", token).digest(MESSAGE);
                right += check.verify(made) && Arrays.equals(here, onToken) ? 1 : 0;
            }
            return right;
        };
        Callable<Integer> starts = () -> {
            int fine = 0;
            for (int turn = 0; turn < PROGRAMS; turn++) {
                Process process = new ProcessBuilder("ls", "-l", "/proc/self/fd")
                    .redirectErrorStream(true).start();
                String told = new String(process.getInputStream().readAllBytes());
                fine += process.waitFor() == 0 && !told.contains("socket:") ? 1 : 0;
            }
            return fine;
        };
        ExecutorService threads = Executors.newFixedThreadPool(SIGNERS + STARTERS);
        List<Future<Integer>> signed = new ArrayList<>(), started = new ArrayList<>();
        for (int n = 0; n < SIGNERS; n++) {
            signed.add(threads.submit(signs));
        }
        for (int n = 0; n < STARTERS; n++) {
            started.add(threads.submit(starts));
        }
        System.out.println("signed " + sum(signed) + ", started " + sum(started));
        threads.shutdown();
    }

    private static int sum(List<Future<Integer>> parts) throws Exception {
        int all = 0;
        for (Future<Integer> part : parts) {
            all += part.get();
        }
        return all;
    }
}
