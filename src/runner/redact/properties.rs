//! Properties of the redactor: any chunking of any value in any listed encoding amid any noise never leaks, and text without
//! values is left as it is. The encodings are made here anew, not taken from `forms`.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Patterns, Redactor, Registry};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn wrapped(text: &str, columns: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(columns).map(|line| line.iter().collect::<String>() + "\n").collect()
}

/// What is printed, and what must then be nowhere in the output once its line breaks are gone.
fn printed(value: &str, encoding: u8, pad: usize, columns: usize) -> (String, String) {
    let solid = |text: &str| text.replace(['\n', '\r'], "");
    let amid = format!("{}{value}tail", "x".repeat(pad));
    let inner = |text: &str| solid(text).get((pad * 8).div_ceil(6)..((pad + value.len()) * 8 / 6)).unwrap().to_owned();
    match encoding {
        0 => (value.to_owned(), solid(value)),
        1 => (wrapped(value, columns), solid(value)),
        2 => (STANDARD.encode(&amid), inner(&STANDARD.encode(&amid))),
        3 => (wrapped(&STANDARD.encode(&amid), columns), inner(&STANDARD.encode(&amid))),
        4 => (URL_SAFE_NO_PAD.encode(&amid), inner(&URL_SAFE_NO_PAD.encode(&amid))),
        5 => (hex(value.as_bytes()), hex(value.as_bytes())),
        6 => (wrapped(&hex(value.as_bytes()).to_uppercase(), columns), hex(value.as_bytes()).to_uppercase()),
        7 => (percent(value), percent(value)),
        8 => {
            let json = serde_json::to_string(value).unwrap();
            let bare = json.get(1..json.len() - 1).unwrap().to_owned();
            (json, bare)
        }
        _ => (value.chars().rev().collect(), solid(&value.chars().rev().collect::<String>())),
    }
}

fn patterns(values: &[String]) -> Arc<Patterns> {
    Arc::new(Patterns::new(values.iter().map(|value| ("N", value.as_str()))).unwrap())
}

fn redact(values: &[String], text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut redactor = Redactor::new(patterns(values));
    let mut out = Vec::new();
    feed(&mut redactor, text, cuts, &mut out);
    redactor.finish(&mut out);
    out
}

/// Hands `text` over in pieces.
fn feed(redactor: &mut Redactor, text: &[u8], cuts: &[usize], out: &mut Vec<u8>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts {
        redactor.feed(&text[at..cut], out);
        at = cut;
    }
}

/// A piece of the secret that the output shows, of a length that noise would not make by chance.
fn leaked<'s>(secret: &'s str, out: &[u8]) -> Option<&'s [u8]> {
    let solid: Vec<u8> = out.iter().copied().filter(|b| !b"\r\n".contains(b)).collect();
    let pieces: HashSet<&[u8]> = solid.windows(5).collect();
    secret.as_bytes().windows(5).find(|piece| pieces.contains(piece))
}

fn is_announced(out: &[u8]) -> bool {
    out.windows(10).any(|window| window == b"[redacted:")
}

/// Values as people have them: printable, and long enough; letters that percent-encoders disagree on are left to the unit tests.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{6,40}",
        "[A-Za-z0-9/+= \"\\\\<>&%]{4,20}[A-Za-z0-9]{6}",
        "[A-Za-z0-9]{8,30}\n[A-Za-z0-9]{8,30}"
    ]
    .prop_map(|text| text.trim().to_owned())
}

/// What stands around a value; of letters that make a piece of one by chance too seldom to matter.
fn noise() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (prop::collection::vec(any::<u8>(), 0..60), prop::collection::vec(any::<u8>(), 0..60))
}

fn amid((before, after): &(Vec<u8>, Vec<u8>), text: &str) -> Vec<u8> {
    [before, text.as_bytes(), after].concat()
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..200)
}

/// A text or a number, as credentials hold them.
fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[A-Za-z0-9/+=<>&\"\\\\]{2,20}[A-Za-z0-9]{6}".prop_map(Value::from),
        (100_000_u64..).prop_map(Value::from)
    ]
}

/// A credential with these leaves at different depths.
fn document(leaves: &[Value], pretty: bool) -> String {
    let deep = leaves.iter().rev().fold(json!(null), |inner, leaf| json!({ "v": leaf, "more": [true, inner] }));
    if pretty { serde_json::to_string_pretty(&deep).unwrap() } else { deep.to_string() }
}

/// Base64 of a value with space around it, and the digits that depend on the value alone.
fn printed_amid(before: &str, bare: &str, after: &str, encoding: u8) -> (String, String) {
    let whole = format!("{before}{bare}{after}");
    let text = if encoding == 4 { URL_SAFE_NO_PAD.encode(&whole) } else { STANDARD.encode(&whole) };
    let digits = (before.len() * 8).div_ceil(6)..(before.len() + bare.len()) * 8 / 6;
    let secret = text.get(digits).unwrap().to_owned();
    (text, secret)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_chunking_of_any_value_in_any_encoding_leaks(
        values in prop::collection::vec(value(), 1..4),
        which in 0_usize..3, encoding in 0_u8..10, pad in 0_usize..3, columns in 1_usize..80,
        before in prop::collection::vec(any::<u8>(), 0..60), after in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..200),
    ) {
        let (text, secret) = printed(&values[which % values.len()], encoding, pad, columns);
        let stream = [before, text.into_bytes(), after].concat();
        let out = redact(&values, &stream, &cuts);
        prop_assert_eq!(leaked(&secret, &out), None, "{} in {}", secret, String::from_utf8_lossy(&out));
        prop_assert!(is_announced(&out));
    }

    #[test]
    fn one_line_of_a_value_alone_leaks_in_no_encoding(
        lines in prop::collection::vec("[A-Za-z0-9/+=]{8,30}", 2..5), which in any::<prop::sample::Index>(),
        encoding in 0_u8..10, pad in 0_usize..3, columns in 1_usize..80, noise in noise(), cuts in cuts(),
    ) {
        let (text, secret) = printed(&lines[which.index(lines.len())], encoding, pad, columns);
        let out = redact(&[lines.join("\n") + "\n"], &amid(&noise, &text), &cuts);
        prop_assert_eq!(leaked(&secret, &out), None, "{} in {}", secret, String::from_utf8_lossy(&out));
        prop_assert!(is_announced(&out));
    }

    #[test]
    fn one_leaf_of_a_json_value_alone_leaks_in_no_encoding(
        leaves in prop::collection::vec(leaf(), 1..5), which in any::<prop::sample::Index>(), pretty in any::<bool>(),
        encoding in 0_u8..10, pad in 0_usize..3, columns in 1_usize..80, noise in noise(), cuts in cuts(),
    ) {
        let leaf = &leaves[which.index(leaves.len())];
        let shown = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
        let (text, secret) = printed(&shown, encoding, pad, columns);
        let out = redact(&[document(&leaves, pretty)], &amid(&noise, &text), &cuts);
        prop_assert_eq!(leaked(&secret, &out), None, "{} in {}", secret, String::from_utf8_lossy(&out));
        prop_assert!(is_announced(&out));
    }

    #[test]
    fn a_value_with_space_around_it_leaks_neither_with_it_nor_without_it(
        // Without space of its own, which could not be told from what stands around it.
        bare in value().prop_map(|value| value.replace([' ', '\t', '\r', '\n'], "_")), before in "[ \t\n]{0,4}", after in "[ \t\r\n]{0,4}", with_space in any::<bool>(),
        encoding in 0_u8..10, pad in 0_usize..3, columns in 1_usize..80, noise in noise(), cuts in cuts(),
    ) {
        let whole = format!("{before}{bare}{after}");
        // What must not be seen is the value; the space around it, and the digits that are made of both, may be.
        let (text, secret) = match (with_space, encoding) {
            (true, 0 | 1 | 5..) => (printed(&whole, encoding, pad, columns).0, printed(&bare, encoding, pad, columns).1),
            (true, _) => printed_amid(&before, &bare, &after, encoding),
            (false, _) => printed(&bare, encoding, pad, columns),
        };
        let out = redact(&[whole], &amid(&noise, &text), &cuts);
        prop_assert_eq!(leaked(&secret, &out), None, "{} in {}", secret, String::from_utf8_lossy(&out));
        prop_assert!(is_announced(&out));
    }

    #[test]
    fn a_value_that_is_added_while_the_stream_goes_on_leaks_in_no_encoding_from_then_on(
        known in value(), added in value(), encoding in 0_u8..10, pad in 0_usize..3, columns in 1_usize..80,
        before in prop::collection::vec(any::<u8>(), 0..60), held in 0_usize..40, noise in noise(), cuts in cuts(),
    ) {
        let registry = Registry::new(vec![("K".to_owned(), SecretString::from(known.as_str()))]).unwrap();
        let mut redactor = Redactor::new(registry.patterns());
        let mut out = Vec::new();
        // The stream stands in the middle of a value that it knows, and holds that back.
        let begun = known.as_bytes().get(..held.min(known.len() - 1)).unwrap();
        redactor.feed(&[before.as_slice(), b"#", begun].concat(), &mut out);
        registry.add("A", SecretString::from(added.as_str())).unwrap();
        redactor.renew(&registry.patterns());
        let (text, secret) = printed(&added, encoding, pad, columns);
        let from = out.len();
        feed(&mut redactor, &amid(&noise, &text), &cuts, &mut out);
        redactor.finish(&mut out);
        prop_assert_eq!(leaked(&secret, &out[from..]), None, "{} in {}", secret, String::from_utf8_lossy(&out));
        prop_assert!(is_announced(&out[from..]));
    }

    #[test]
    fn text_without_values_passes_byte_for_byte(
        values in prop::collection::vec("[A-Z]{12}[0-9]{6}", 0..4),
        text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), b'A'..=b'F', any::<u8>()], 0..400),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        // No form of such a value is shorter than this; chance does not make one.
        prop_assert_eq!(redact(&values, &text, &cuts), text);
    }

    #[test]
    fn the_chunking_makes_no_difference(
        values in prop::collection::vec("[ab]{6,9}", 1..4), text in "[ab\n]{0,200}",
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        prop_assert_eq!(redact(&values, text.as_bytes(), &cuts), redact(&values, text.as_bytes(), &[]));
    }

    #[test]
    fn what_is_given_out_before_the_end_never_holds_the_beginning_of_a_value(
        value in "[A-Za-z0-9]{8,30}", noise in "[A-Za-z0-9 \n]{0,40}", cut in 0_usize..30,
    ) {
        let mut redactor = Redactor::new(Arc::new(Patterns::new([("N", value.as_str())]).unwrap()));
        let shown = value.get(..cut.min(value.len() - 1)).unwrap();
        let mut out = Vec::new();
        redactor.feed(format!("{noise}#{shown}").as_bytes(), &mut out);
        prop_assert!(out.len() <= noise.len() + 1, "{}", String::from_utf8_lossy(&out));
    }
}
