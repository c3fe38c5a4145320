import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import quickfix.*;

/**
 * A broker on QuickFIX/J: the twin of tests/servers/acceptors/quickfix_acceptor.py, which tells what
 * it does and what its commands are.
 *
 * <p>The same behaviour, the same audit file and the same control port, so that one test runs against
 * both engines. Unlike that one it holds every message to the dictionary of FIX 4.4.
 */
public final class Acceptor implements Application {
    private static final String SENDER = "BROKER";

    private final Map<String, Desk> desks = new HashMap<>();

    public static void main(String[] given) throws Exception {
        Path directory = Path.of(given[0]);
        StringBuilder text = new StringBuilder("[DEFAULT]\nConnectionType=acceptor\nNonStopSession=Y\n"
                + "SocketAcceptAddress=127.0.0.1\nSocketReuseAddress=Y\nSocketTcpNoDelay=Y\n"
                + "UseDataDictionary=Y\nDataDictionary=FIX44.xml\nBeginString=FIX.4.4\n"
                + "SocketAcceptPort=" + given[1] + "\nSenderCompID=" + SENDER + "\n"
                + "FileStorePath=" + directory + "/store\nFileLogPath=" + directory + "/log\n");
        Acceptor broker = new Acceptor();
        int clients = Integer.parseInt(given[3]);
        for (int number = 1; number <= clients; number++) {
            text.append("[SESSION]\nTargetCompID=CLIENT").append(number).append('\n');
            text.append(number > clients - 5 ? "EnableNextExpectedMsgSeqNum=Y\n" : "");
            broker.desks.put("CLIENT" + number, new Desk(directory.resolve("CLIENT" + number)));
        }
        Path path = directory.resolve("acceptor.cfg");
        Files.writeString(path, text);
        SessionSettings settings = new SessionSettings(new FileInputStream(path.toFile()));
        new SocketAcceptor(broker, new FileStoreFactory(settings), settings,
                new FileLogFactory(settings), new DefaultMessageFactory()).start();
        InetAddress local = InetAddress.getByName("127.0.0.1");
        HttpServer control = HttpServer.create(
                new InetSocketAddress(local, Integer.parseInt(given[2])), 0);
        control.createContext("/", broker::command);
        control.start();
    }

    @Override public void onCreate(SessionID session) { }
    @Override public void onLogon(SessionID session) { }
    @Override public void onLogout(SessionID session) { }
    @Override public void toAdmin(Message message, SessionID session) { }
    @Override public void fromAdmin(Message message, SessionID session) { }
    @Override public void toApp(Message message, SessionID session) { }

    @Override public void fromApp(Message message, SessionID session) {
        Map<Integer, String> of = new HashMap<>();
        message.getHeader().iterator().forEachRemaining(it -> of.put(it.getTag(), (String) it.getObject()));
        message.iterator().forEachRemaining(it -> of.put(it.getTag(), (String) it.getObject()));
        Desk desk = desks.get(session.getTargetCompID());
        List<Message> told;
        synchronized (desk) {
            if (of.get(35).equals("D") && desk.dies != null) {
                desk.arrived(of, desk.dies);
                Runtime.getRuntime().halt(9);
            }
            told = of.get(35).equals("E") ? listed(desk, of, message) : desk.answers(of);
        }
        send(told, session);
    }

    /** Takes each order of a list as if it had come alone, under the list's own number. */
    private static List<Message> listed(Desk desk, Map<Integer, String> of, Message message) {
        List<Message> told = new ArrayList<>();
        for (Group leg : message.getGroups(73)) {
            Map<Integer, String> one = new HashMap<>(of);
            leg.iterator().forEachRemaining(it -> one.put(it.getTag(), (String) it.getObject()));
            one.put(35, "D");
            told.addAll(desk.answers(one));
        }
        return told;
    }

    private static void send(List<Message> told, SessionID session) {
        for (Message message : told) {
            try {
                Session.sendToTarget(message, session);
            } catch (SessionNotFound e) {
                throw new IllegalStateException(e);
            }
        }
    }

    private void command(HttpExchange exchange) throws IOException {
        String said;
        int status = 200;
        try {
            Map<String, String> given = new HashMap<>();
            for (String pair : exchange.getRequestURI().getRawQuery().split("&")) {
                String[] sides = pair.split("=", 2);
                given.put(sides[0], URLDecoder.decode(sides[1], StandardCharsets.UTF_8));
            }
            said = does(exchange.getRequestURI().getPath().substring(1), given);
        } catch (Exception e) {
            status = 400;
            said = '"' + e.toString().replace('"', '\'') + '"';
        }
        byte[] body = said.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private String does(String what, Map<String, String> given) throws IOException {
        SessionID id = new SessionID("FIX.4.4", SENDER, given.get("client"));
        Session session = Session.lookupSession(id);
        Desk desk = desks.get(given.get("client"));
        switch (what) {
            case "state" -> { }
            case "set" -> {
                desk.fills = given.getOrDefault("fills", desk.fills);
                desk.mute = given.getOrDefault("mute", desk.mute ? "Y" : "N").equals("Y");
                desk.drop = Integer.parseInt(given.getOrDefault("drop", "" + desk.drop));
                desk.lose = Integer.parseInt(given.getOrDefault("lose", "" + desk.lose));
            }
            case "die" -> desk.dies = given.get("booked").equals("Y");
            case "disconnect" -> session.disconnect("on command", false);
            case "logout" -> session.logout(given.getOrDefault("text", ""));
            case "logon" -> session.logon();
            case "numbers" -> {
                if (given.containsKey("next_out")) {
                    session.setNextSenderMsgSeqNum(Integer.parseInt(given.get("next_out")));
                }
                if (given.containsKey("next_in")) {
                    session.setNextTargetMsgSeqNum(Integer.parseInt(given.get("next_in")));
                }
            }
            default -> {
                List<Message> told;
                synchronized (desk) {
                    told = desk.does(what, given);
                }
                send(told, id);
            }
        }
        return String.format(
                "{\"logged_on\": %s, \"next_out\": %d, \"next_in\": %d, \"received\": %d, \"executions\": %d}",
                session.isLoggedOn(), session.getExpectedSenderNum(), session.getExpectedTargetNum(),
                desk.received, desk.executions);
    }
}
