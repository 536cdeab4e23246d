import java.util.HexFormat;
import java.util.Scanner;
import javax.smartcardio.Card;
import javax.smartcardio.CardException;
import javax.smartcardio.CardTerminal;
import javax.smartcardio.CardTerminals;
import javax.smartcardio.CommandAPDU;
import javax.smartcardio.ResponseAPDU;
import javax.smartcardio.TerminalFactory;

/** Talks to the first card, then has it taken out and put back by whoever reads its output. */
public class WatchTerminals {
    private static final int PATIENCE = 20_000; // milliseconds
    private static final CommandAPDU SELECT =
            new CommandAPDU(0, 0xA4, 4, 0, HexFormat.of().parseHex("A000000308"), 256);
    private static final CommandAPDU GET_DISCOVERY =
            new CommandAPDU(0, 0xCB, 0x3F, 0xFF, HexFormat.of().parseHex("5C017E"), 65536);

    public static void main(String[] arguments) throws Exception {
        Scanner input = new Scanner(System.in);
        CardTerminals terminals = TerminalFactory.getDefault().terminals();
        CardTerminal terminal = terminals.list().get(0);
        tell("terminal " + terminal.getName());
        Card card = terminal.connect("T=1");
        tell("ATR " + HexFormat.of().formatHex(card.getATR().getBytes()));
        card.beginExclusive();
        tell("SELECT " + answer(card, SELECT));
        tell("GET DATA " + answer(card, GET_DISCOVERY));
        card.endExclusive();
        terminals.waitForChange(1); // from here on all is a change

        tell("take it out");
        input.nextLine();
        boolean changed = terminals.waitForChange(PATIENCE);
        tell("out " + changed + " " + terminals.list(CardTerminals.State.CARD_REMOVAL).size());
        try {
            tell("answered " + answer(card, SELECT));
        } catch (CardException refusal) {
            tell("refused " + refusal.getCause().getMessage());
        }
        tell("put it back");
        input.nextLine();
        changed = terminals.waitForChange(PATIENCE);
        tell("in " + changed + " " + terminals.list(CardTerminals.State.CARD_INSERTION).size());
        tell("SELECT " + answer(terminal.connect("*"), SELECT));
    }

    private static String answer(Card card, CommandAPDU command) throws CardException {
        ResponseAPDU response = card.getBasicChannel().transmit(command);
        return HexFormat.of().formatHex(response.getBytes());
    }

    private static void tell(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
