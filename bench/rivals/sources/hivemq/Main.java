import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import com.hivemq.extension.sdk.api.services.builder.Builders;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;

/** HiveMQ CE on the directory of its first argument; the second and third are user and password, or missing. */
public final class Main implements ExtensionMain {
    private final String user;
    private final String password;

    private Main(String user, String password) {
        this.user = user;
        this.password = password;
    }

    @Override
    public void extensionStart(ExtensionStartInput input, ExtensionStartOutput output) {
        SimpleAuthenticator authenticator = this::authenticate;
        Services.securityRegistry().setAuthenticatorProvider(ignored -> authenticator);
    }

    @Override
    public void extensionStop(ExtensionStopInput input, ExtensionStopOutput output) {}

    private void authenticate(SimpleAuthInput input, SimpleAuthOutput output) {
        if (user == null) {
            output.authenticateSuccessfully();
            return;
        }
        Optional<String> given = input.getConnectPacket().getPassword()
                .map(bytes -> StandardCharsets.UTF_8.decode(bytes).toString());
        if (input.getConnectPacket().getUserName().filter(user::equals).isEmpty()
                || given.filter(password::equals).isEmpty()) {
            output.failAuthentication();
            return;
        }
        output.getDefaultPermissions().add(Builders.topicPermission().topicFilter("#").build());
        output.authenticateSuccessfully();
    }

    public static void main(String[] args) {
        Path directory = Path.of(args[0]);
        EmbeddedExtension extension = EmbeddedExtension.builder()
                .withId("bench").withName("bench").withVersion("1").withPriority(0).withStartPriority(1000)
                .withExtensionMain(args.length > 2 ? new Main(args[1], args[2]) : new Main(null, null)).build();
        EmbeddedHiveMQ.builder()
                .withConfigurationFolder(directory.resolve("conf")).withDataFolder(directory.resolve("data"))
                .withExtensionsFolder(directory.resolve("extensions"))
                .withEmbeddedExtension(extension).build().start().join();
    }
}
