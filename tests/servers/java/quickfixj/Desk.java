import java.io.FileOutputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quickfix.Message;

/**
 * One client's broker: the twin of tests/servers/acceptors/book.py and desk.py, which say why.
 *
 * <p>The trap is a second opinion: what the tests learn on one engine must hold on the other, so
 * this does nothing that those two do not.
 */
final class Desk {
    private static final DateTimeFormatter UTC =
            DateTimeFormatter.ofPattern("yyyyMMdd-HH:mm:ss.SSS").withZone(ZoneOffset.UTC);
    private static final Pattern FACT = Pattern.compile("\"(\\w+)\": \"([^\"]*)\"");

    final Map<String, Order> orders = new LinkedHashMap<>();
    final Map<String, Order> names = new HashMap<>();
    final Map<String, Object[]> trades = new HashMap<>();
    final FileOutputStream audit;
    volatile int executions, received, drop, lose;
    String fills = "none";
    boolean mute;
    Boolean dies;

    Desk(Path directory) throws IOException {
        Files.createDirectories(directory);
        Path path = directory.resolve("audit.jsonl");
        for (String line : Files.exists(path) ? Files.readAllLines(path) : List.<String>of()) {
            replay(line);
        }
        audit = new FileOutputStream(path.toFile(), true);
    }

    List<Message> answers(Map<Integer, String> of) {
        List<Message> told = new ArrayList<>();
        switch (of.get(35)) {
            case "D" -> place(of, told);
            case "F", "G" -> change(of, told, of.get(35).equals("G"));
            case "H" -> {
                Order held = names.get(of.get(11));
                told.add(held == null ? nothing(of, "5") : state(held, of));
            }
            case "AF" -> {
                for (Order order : orders.values()) {
                    told.add(state(order, of));
                }
                if (told.isEmpty()) {
                    told.add(nothing(of, "5"));
                }
                for (Message message : told) {
                    set(message, 584, of.get(584), 911, "" + orders.size(),
                            912, message == told.get(told.size() - 1) ? "Y" : "N");
                }
            }
            default -> told.add(message("j", 45, of.get(34), 372, of.get(35), 380, "3",
                    58, "unsupported"));
        }
        if (mute) {
            return List.of();
        }
        int lost = Math.min(drop, told.size());
        drop -= lost;
        return told.subList(lost, told.size());
    }

    List<Message> does(String what, Map<String, String> given) {
        List<Message> told = new ArrayList<>();
        switch (what) {
            case "fill" -> {
                Order order = names.get(given.get("name"));
                String left = order.quantity.subtract(order.filled).toPlainString();
                told.add(trade(order, new BigDecimal(given.getOrDefault("quantity", left)),
                        new BigDecimal(given.getOrDefault("price", order.price)), "F"));
            }
            case "bust" -> told.add(
                    executed(undone(given.get("exec_id")), "H", 19, given.get("exec_id")));
            case "correct" -> told.add(trade(undone(given.get("exec_id")),
                    new BigDecimal(given.get("quantity")), new BigDecimal(given.get("price")), "G",
                    19, given.get("exec_id")));
            case "cancel_all" -> {
                for (Order order : orders.values()) {
                    if (order.open()) {
                        order.status = "4";
                        told.add(executed(order, "4"));
                    }
                }
            }
            default -> throw new IllegalArgumentException("no such command: " + what);
        }
        return told;
    }

    void arrived(Map<Integer, String> of, boolean booked) {
        received++;
        note("received", "name", of.get(11), "number", of.get(34),
                "poss_dup", of.getOrDefault(43, "N"), "poss_resend", of.getOrDefault(97, "N"),
                "booked", booked ? "Y" : "N", "symbol", of.get(55), "side", of.get(54),
                "quantity", of.get(38), "price", of.getOrDefault(44, "100"));
    }

    private void place(Map<Integer, String> of, List<Message> told) {
        Order held = names.get(of.get(11));
        boolean lost = lose > 0;
        lose -= lost ? 1 : 0;
        arrived(of, held == null && !lost);
        if (lost) {
            return;
        }
        if (held != null) {
            told.add("Y".equals(of.get(97)) ? state(held, of) : nothing(of, "6"));
            return;
        }
        Order order = book(of.get(11), of.get(55), of.get(54), of.get(38), of.getOrDefault(44, "100"));
        told.add(executed(order, "0"));
        BigDecimal price = new BigDecimal(order.price);
        if (fills.equals("full")) {
            told.add(trade(order, order.quantity, price, "F"));
        } else if (fills.equals("partial")) {
            BigDecimal half = order.quantity.divide(new BigDecimal(2)).setScale(0, RoundingMode.HALF_EVEN);
            told.add(trade(order, half, price, "F"));
        }
    }

    private void change(Map<Integer, String> of, List<Message> told, boolean replaces) {
        Order order = names.get(of.get(41));
        boolean late = order != null && (!order.open()
                || replaces && new BigDecimal(of.get(38)).compareTo(order.filled) <= 0);
        if (order == null || late) {
            told.add(message("9", 37, order == null ? "NONE" : order.id, 11, of.get(11),
                    41, of.get(41), 39, order == null ? "8" : order.status,
                    434, replaces ? "2" : "1", 102, order == null ? "1" : "0", 60, now()));
            return;
        }
        if (replaces) {
            order.quantity = new BigDecimal(of.get(38));
            order.price = of.getOrDefault(44, order.price);
        } else {
            order.status = "4";
        }
        order.name = of.get(11);
        names.put(order.name, order);
        told.add(executed(order, replaces ? "5" : "4", 41, of.get(41)));
    }

    private Order book(String name, String symbol, String side, String quantity, String price) {
        Order order = new Order();
        order.id = "O" + (orders.size() + 1);
        order.name = name;
        order.symbol = symbol;
        order.side = side;
        order.quantity = new BigDecimal(quantity);
        order.price = price;
        orders.put(order.id, order);
        names.put(name, order);
        return order;
    }

    private Message trade(Order order, BigDecimal count, BigDecimal paid, String type, Object... more) {
        order.traded(count, paid);
        Message told = executed(order, type, concat(more, 31, paid.toPlainString(), 32, count.toPlainString()));
        trades.put("E" + executions, new Object[] {order, count, paid});
        return told;
    }

    private Order undone(String execId) {
        Object[] trade = trades.remove(execId);
        Order order = (Order) trade[0];
        order.traded(((BigDecimal) trade[1]).negate(), (BigDecimal) trade[2]);
        return order;
    }

    private Message executed(Order order, String type, Object... more) {
        String execId = "E" + ++executions;
        List<String> facts = new ArrayList<>(List.of("exec_id", execId, "exec_type", type,
                "order_id", order.id, "name", order.name, "symbol", order.symbol, "side", order.side,
                "quantity", order.quantity.toPlainString(), "price", order.price,
                "status", order.status, "filled", order.filled.toPlainString(),
                "value", order.value.toPlainString()));
        for (int i = 0; i < more.length; i += 2) {
            facts.add("tag_" + more[i]);
            facts.add((String) more[i + 1]);
        }
        note("executed", facts.toArray(String[]::new));
        return set(report(order, execId, type), more);
    }

    private Message state(Order order, Map<Integer, String> of) {
        Message told = report(order, "S" + of.get(34), "I");
        return of.containsKey(790) ? set(told, 790, of.get(790)) : told;
    }

    private static Message report(Order order, String execId, String type) {
        BigDecimal left = order.open() ? order.quantity.subtract(order.filled).max(BigDecimal.ZERO) : BigDecimal.ZERO;
        BigDecimal average = order.filled.signum() == 0 ? BigDecimal.ZERO
                : order.value.divide(order.filled, MathContext.DECIMAL64);
        String now = now();
        return message("8", 37, order.id, 17, execId, 150, type, 39, order.status, 11, order.name,
                55, order.symbol, 54, order.side, 38, order.quantity.toPlainString(), 44, order.price,
                151, left.toPlainString(), 14, order.filled.toPlainString(),
                6, average.toPlainString(), 60, now, 75, now.substring(0, 8));
    }

    private static Message nothing(Map<Integer, String> of, String reason) {
        Message told = message("8", 37, "NONE", 17, "N" + of.get(34),
                150, of.get(35).equals("D") ? "8" : "I", 39, "8", 103, reason,
                55, of.getOrDefault(55, "N/A"), 54, of.getOrDefault(54, "1"),
                151, "0", 14, "0", 6, "0", 60, now());
        for (int tag : new int[] {11, 790}) {
            if (of.containsKey(tag)) {
                set(told, tag, of.get(tag));
            }
        }
        return told;
    }

    private void note(String what, String... facts) {
        StringBuilder line = new StringBuilder("{\"what\": \"" + what + '"');
        for (int i = 0; i < facts.length; i += 2) {
            line.append(", \"").append(facts[i]).append("\": \"").append(facts[i + 1]).append('"');
        }
        try {
            audit.write(line.append("}\n").toString().getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private void replay(String line) {
        Map<String, String> it = new HashMap<>();
        for (Matcher found = FACT.matcher(line); found.find(); ) {
            it.put(found.group(1), found.group(2));
        }
        if (it.get("what").equals("received")) {
            received++;
            if (it.get("booked").equals("Y") && !names.containsKey(it.get("name"))) {
                book(it.get("name"), it.get("symbol"), it.get("side"), it.get("quantity"), it.get("price"));
            }
            return;
        }
        executions++;
        Order order = orders.get(it.get("order_id"));
        order.name = it.get("name");
        names.put(order.name, order);
        order.price = it.get("price");
        order.status = it.get("status");
        order.quantity = new BigDecimal(it.get("quantity"));
        order.filled = new BigDecimal(it.get("filled"));
        order.value = new BigDecimal(it.get("value"));
        trades.remove(it.get("tag_19"));
        if (it.containsKey("tag_32")) {
            trades.put(it.get("exec_id"), new Object[] {order,
                    new BigDecimal(it.get("tag_32")), new BigDecimal(it.get("tag_31"))});
        }
    }

    private static Object[] concat(Object[] first, Object... more) {
        List<Object> all = new ArrayList<>(List.of(first));
        all.addAll(List.of(more));
        return all.toArray();
    }

    private static Message message(String type, Object... fields) {
        Message message = new Message();
        message.getHeader().setString(35, type);
        return set(message, fields);
    }

    private static Message set(Message message, Object... fields) {
        for (int i = 0; i < fields.length; i += 2) {
            message.setString((Integer) fields[i], (String) fields[i + 1]);
        }
        return message;
    }

    private static String now() {
        return UTC.format(Instant.now());
    }
}

/** One order as the broker has it. */
final class Order {
    String id, name, symbol, side, price, status = "0";
    BigDecimal quantity, filled = BigDecimal.ZERO, value = BigDecimal.ZERO;

    boolean open() {
        return status.equals("0") || status.equals("1");
    }

    void traded(BigDecimal count, BigDecimal paid) {
        filled = filled.add(count);
        value = value.add(count.multiply(paid));
        if (open() || status.equals("2")) {
            status = filled.compareTo(quantity) >= 0 ? "2" : filled.signum() == 0 ? "0" : "1";
        }
    }
}
