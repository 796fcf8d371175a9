import io.moquette.broker.Server;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** Moquette with the properties file of its first argument. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(Path.of(args[0]))) {
            properties.load(reader);
        }
        Server server = new Server();
        server.startServer(properties);
        Runtime.getRuntime().addShutdownHook(new Thread(server::stopServer));
    }
}
