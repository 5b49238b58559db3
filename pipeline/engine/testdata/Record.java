// Records what Java says of numbers and regular expressions: java Record.java > java.json
import java.util.*;
import java.util.regex.*;

public class Record {
    static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray())
            if (c < ' ' || c > '~' || c == '"' || c == '\\') b.append(String.format("\\u%04x", (int) c)); else b.append(c);
        return b.append('"').toString();
    }

    public static void main(String[] args) {
        StringBuilder out = new StringBuilder("{\n\"numbers\":[\n");
        String[] texts = {"", " ", "1", "-1", "+1", "01", " 18 ", "\u001f18\u0000", "\u00a018", "\u200318", "1.", ".5", ".", "-.5",
            "1e1", "1E+1", "1e-1", "1e", "e1", "1e1.5", "5d", "5D", "5f", "5F", "5dd", "d", "f", "NaN", "-NaN", "+NaN", "nan",
            "NaNd", "Infinity", "-Infinity", "+Infinity", "infinity", "Infinityd", "Inf", "0x10", "0x1p3", "0X1.8P-1", "0x.8p1",
            "0x1.p1", "0x.p1", "0xp1", "0x1p", "0x1p3d", "0x1p+3f", "-0x1p3", "0x1P3", "0xgp1", "0x1fp0", "0x1_0p0", "1_000",
            "1,000", "1e400", "-1e400", "1e-400", "1e99999999999", "0e99999999999", "1e-99999999999", "4.9e-324", "2.4e-324",
            "0.1", "123456789012345678901234567890", "9007199254740993", "1.7976931348623157e308", "1.7976931348623159e308",
            "--1", "1-", "1 2", "\u0661", "0b1", "0o7", "true", "-0", "0x1.fffffffffffff7p0", "0x1.fffffffffffff8p0",
            "0x123456789abcdef123456789p4", "1e1 d", "1\n", "\u20091"};
        String sep = "";
        for (String t : texts) {
            String is;
            try { is = quote(Long.toHexString(Double.doubleToLongBits(Double.parseDouble(t)))); }
            catch (NumberFormatException e) { is = "null"; }
            out.append(sep).append("{\"text\":").append(quote(t)).append(",\"bits\":").append(is).append("}");
            sep = ",\n";
        }
        out.append("],\n\"printed\":[\n");
        sep = "";
        Random random = new Random(11);
        List<Double> doubles = new ArrayList<>(List.of(0.0, -0.0, 1.0, -1.0, 2.5, 100.0, 1e6, 9999999.0, 1e7, 12345678.9, 1e-3,
            9.99e-4, 1e-5, 1.5e-5, 1e21, 1e22, 1e23, 1.7976931348623157e308, 2.2250738585072014e-308, 123456789012345680.0,
            0.1, 1.0 / 3, 2.0 / 3, 1e15, 1e16, 1e100, 12.0, 17.5, 42.125, 1234567.0, 0.001, 0.00123));
        for (int i = 0; i < 60; i++) doubles.add(random.nextInt(2000000) / 100.0);
        for (int i = 0; i < 60; i++) doubles.add(random.nextDouble() * Math.pow(10, random.nextInt(40) - 20));
        for (double d : doubles) {
            out.append(sep).append("{\"bits\":").append(quote(Long.toHexString(Double.doubleToLongBits(d)))).append(",\"text\":")
                .append(quote(Double.toString(d))).append("}");
            sep = ",\n";
        }
        out.append("],\n\"regexes\":[\n");
        String[] patterns = {"a", "a|ab", "^a", "a$", "^a$", ".*a.*", ".", ".*", "(?s).*", "(?s:.)b", "a.b", "\\d+", "\\D+", "\\w+",
            "\\W*", "\\s", "\\S+", "\\h", "\\H", "\\v", "\\V", "\\R", "a\\R?", "[\\h]+", "[\\v]", "[^\\s]", "[^\\h]+", "[a-c]+",
            "[^a-c]", "[a\\-c]", "[a-]", "[-a]", "[\\d-x]+", "[a&b]", "(?i)abc", "(?i)[a-c]+", "(?i)[^a]", "(?i)k", "(?i)s",
            "(?i)\\u212a", "a(?i)b|c", "(a(?i)b)c", "(?i:a)b", "(?i)a(?-i)b", "(?i-s)a.", "(?is)a.b", "\\Qa.b\\E", "\\Qa.b",
            "\\Qab\\E*", "\\x41", "\\x{1F600}", "\\u0041", "\\uD83D\\uDE00", "\\0101", "\\07", "\\cA", "\\a", "\\e", "\\t", "\\Aa\\z",
            "\\ba\\b", "a\\Bb", "a{2}", "a{2,}", "a{1,2}?", "a{02}", "a*?b", "a+?", "a??", "(?<name>a)b", "(?:a|b)+c", "()", "a||b",
            "|a", "\\p{L}+", "\\p{Lu}", "\\pN", "\\P{L}", "[\\p{L}1]+", "\\p{Alpha}+", "\\p{Punct}", "\\P{Alpha}", "[\\p{Space}a]+",
            "[\\P{Digit}]", "\\-", "\\_", "\\/", "]", "}", "a}", "\u00e9", "[\u00e9-\u00eb]", "\ud83d\ude00", "[\ud83d\ude00]", ".\ud83d\ude00?",
            "@example\\.com", ".*@example\\.com", "(.*\\.)?example\\.com", "https?://.*", "^(?:a|b$)$", "(a$)|b", "a$|b$", "($|a)",
            "\\.\\.", "[.]", "[\\]]", "[\\[]", "[#]", "a #", "\\\\", "[\\\\]", "[^\\n]", "[\\n]", "(?)a", "a**", "+a", "a{", "a{,2}",
            "a{2,1}", "(a", "a)", "[a", "[]", "[b-a]", "\\y", "\\", "(?<1>a)", "(?<a>a)(?<a>b)", "(?P<a>b)", "(?z)a", "\\x4", "\\p{Nope}",
            "[a-\\d]", "\\8", "^*a", "(?#a)b"};
        String[] subjects = {"", "a", "b", "ab", "abc", "A", "ABC", "aB", "Ab", "aBc", "AB", "abC", "aa", "aaa", "\n", "a\n", "\na", "\r\n", "\r",
            "a\r\n", "\u0085", "a\u0085", "\u2028", "\u00a0", "\u180e", "\u3000", "\u000b", "\t", " ", "  ", "a b", "a.b", "a\nb", "5", "42", "\u0661",
            "_", "-", ".", "..", "/", "\\", "[", "]", "{", "}", "a}", "#", "a #", "&", "x5-", "k", "K", "\u212a", "s", "S", "\u017f", "\u00e9", "\u00c9", "\u00ea",
            "\ud83d\ude00", "a\ud83d\ude00", "\ud83d\ude00\ud83d\ude00", "anna@example.com", "example.com", "www.example.com", "https://x.io/a", "abb",
            "abab", "aab", "aba", "ac", "bc", "abac", "c", "C", "!", "\u0001", "\u0007", "\u001b", "a-b"};
        sep = "";
        for (String p : patterns) {
            out.append(sep).append("{\"pattern\":").append(quote(p)).append(",\"matches\":");
            sep = ",\n";
            try {
                Pattern compiled = Pattern.compile(p);
                String comma = "[";
                for (String s : subjects)
                    if (compiled.matcher(s).matches()) { out.append(comma).append(quote(s)); comma = ","; }
                out.append(comma.equals("[") ? "[]}" : "]}");
            } catch (PatternSyntaxException e) { out.append("null}"); }
        }
        out.append("],\n\"subjects\":[");
        sep = "";
        for (String s : subjects) { out.append(sep).append(quote(s)); sep = ","; }
        System.out.println(out.append("]}"));
    }
}
