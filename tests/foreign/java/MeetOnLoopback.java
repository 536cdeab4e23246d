import java.net.InetAddress;
import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** Has a TLS server and a client meet, each with its key on the token: args are configuration, PIN, alias. */
public final class MeetOnLoopback {
    private static final int PATIENCE = 30_000;

    public static void main(String[] args) throws Exception {
        Provider token = Security.getProvider("SunPKCS11").configure(args[0]);
        Security.addProvider(token);
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, args[1].toCharArray());
        KeyManagerFactory keys = KeyManagerFactory.getInstance("NewSunX509");
        keys.init(new javax.net.ssl.KeyStoreBuilderParameters(
            KeyStore.Builder.newInstance(store, new KeyStore.PasswordProtection(null))));
        KeyStore known = KeyStore.getInstance("PKCS12");
        known.load(null, null);
        known.setCertificateEntry("peer", store.getCertificate(args[2]));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(known);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            meet(context, version);
        }
    }

    private static void meet(SSLContext context, String version) throws Exception {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        try (SSLServerSocket listener =
                (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 1, loopback)) {
            listener.setSoTimeout(PATIENCE);
            listener.setNeedClientAuth(true);
            CompletableFuture<String> served = CompletableFuture.supplyAsync(() -> serve(listener));
            String protocol;
            try (SSLSocket client = (SSLSocket) context.getSocketFactory()
                    .createSocket(loopback, listener.getLocalPort())) {
                client.setSoTimeout(PATIENCE);
                client.setEnabledProtocols(new String[] {version});
                client.getOutputStream().write(7);
                if (client.getInputStream().read() != 8) {
                    throw new AssertionError("no answer");
                }
                protocol = client.getSession().getProtocol();
            }
            System.out.println("met " + protocol + " " + served.get(PATIENCE, TimeUnit.MILLISECONDS));
        }
    }

    private static String serve(SSLServerSocket listener) {
        try (SSLSocket peer = (SSLSocket) listener.accept()) {
            peer.setSoTimeout(PATIENCE);
            peer.getOutputStream().write(peer.getInputStream().read() + 1);
            X509Certificate seen = (X509Certificate) peer.getSession().getPeerCertificates()[0];
            return seen.getSubjectX500Principal().getName();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
