//! What the reader takes, what it refuses, and that both are bounded.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use proptest::prelude::*;

use super::*;

/// The document as the reader tells it: `a{k=v|}[text]`, or the reason why it is refused.
fn outline(document: impl AsRef<[u8]>) -> String {
    outline_of(document.as_ref())
}

fn outline_of(document: impl Read) -> String {
    let mut reader = XmlReader::new(document);
    let mut out = String::new();
    loop {
        match reader.next_token() {
            Ok(Token::Open(tag)) => {
                out += tag.name();
                out.push('{');
                tag.attributes().for_each(|(name, value)| out += &format!("{name}={value}|"));
            }
            Ok(Token::Close { text }) => out += &format!("[{text}]}}"),
            Ok(Token::End) => return out,
            Err(error) => return format!("refused: {error}"),
        }
    }
}

fn is_refused(document: impl AsRef<[u8]>, reason: &str) {
    let met = outline(document.as_ref());
    let shown = String::from_utf8_lossy(&document.as_ref()[..document.as_ref().len().min(80)]).into_owned();
    assert!(met.starts_with("refused: ") && met.contains(reason), "{shown}: {met}");
}

#[test]
fn elements_attributes_and_leaf_texts_are_told() {
    assert_eq!(
        outline(
            "<?xml version='1.0'?>\n<!DOCTYPE a SYSTEM \"urn:x\">\n<a k=\"1\" l = '2'>\n <b/>\n <c>t &lt;&#x41;<![CDATA[<&]]></c>\n</a>\n"
        ),
        "a{k=1|l=2|b{[]}c{[t <A<&]}[]}"
    );
}

#[test]
fn text_of_an_element_with_children_is_no_value() {
    assert_eq!(outline("<a> x <b> y </b> z </a>"), "a{b{[ y ]}[]}");
    let space = " ".repeat(100_000);
    assert_eq!(outline(format!("{space}<a><b/>{space}<b/>{space}</a>{space}")), "a{b{[]}b{[]}[]}");
}

#[test]
fn references_resolve_and_white_space_in_values_is_normalised() {
    assert_eq!(outline("<a k='&amp;&lt;&gt;&quot;&apos;&#9;&#10;'/>"), "a{k=&<>\"'\t\n|[]}");
    assert_eq!(outline("<a k='x\ty\r\nz\nw'/>"), "a{k=x y z w|[]}");
    assert_eq!(outline("<a>x\r\ny\rz</a>"), "a{[x\ny\nz]}");
}

#[test]
fn comments_and_instructions_are_skipped() {
    assert_eq!(outline("<!-- a --><?go on?><a>x<!-- b -->y<?XML::NAMESPACE z?></a><!-- c -->"), "a{[xy]}");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for document in [
        "",
        " ",
        "text",
        "<a",
        "<a>",
        "<a></b>",
        "<a><b></a></b>",
        "</a>",
        "<a/><b/>",
        "<a/>text",
        "x<a/>",
        "<a/>&amp;",
        "<a/><![CDATA[x]]>",
        "<a k/>",
        "<a k=/>",
        "<a k=v/>",
        "<a k='v/>",
        "<a k='v'l='w'/>",
        "<a k='1' k='2'/>",
        "<a k='<'/>",
        "<a k='&'/>",
        "<a k='&lt'/>",
        "<a 1k='v'/>",
        "<1a/>",
        "<a$/>",
        "< a/>",
        "<a>&</a>",
        "<a>& </a>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a k='\u{1}'/>",
        "<a>\u{ffff}</a>",
        "<a k='\u{fffe}'/>",
        "<a>&#0;</a>",
        "<a>&#x1;</a>",
        "<a>&#xD800;</a>",
        "<a>&#xFFFE;</a>",
        "<a>&#x110000;</a>",
        "<a>&#+65;</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<!-- a -- b --><a/>",
        "<!-- a ---><a/>",
        "<!-><a/>",
        "<!--><a/>",
        "<a><!-- </a>",
        "<a><![CDATA[ </a>",
        "<?xml?><a/>",
        "<?xml version='2.0'?><a/>",
        "<?xml version='1.0' other='x'?><a/>",
        "<?xml encoding='UTF-8'?><a/>",
        "<?xml version='1.0' standalone='maybe'?><a/>",
        " <?xml version='1.0'?><a/>",
        "<a/><?xml version='1.0'?>",
        "<a><?xml version='1.0'?></a>",
        "<a><?XML x?></a>",
        "<!doctype a><a/>",
        "<!DOCTYPEa><a/>",
        "<!DOCTYPE><a/>",
        "<!DOCTYPE a SYSTEM><a/>",
        "<!DOCTYPE a PUBLIC 'x'><a/>",
        "<!DOCTYPE a SYSTEM 'x' y><a/>",
        "<!DOCTYPE a><!DOCTYPE a><a/>",
        "<a/><!DOCTYPE a>",
        "<a><!DOCTYPE a></a>",
        "<a><!ELEMENT a></a>",
    ] {
        is_refused(document, "");
    }
}

#[test]
fn a_document_type_is_skipped_and_its_subset_refused() {
    for document in [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a PUBLIC \"-//x[]>//\" 'http://example.invalid/[x]'  ><a/>",
    ] {
        assert_eq!(outline(document), "a{[]}", "{document}");
    }
    for document in [
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'x' [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><a/>",
        "<!DOCTYPE a []><a/>",
        "<!DOCTYPE a[]><a/>",
    ] {
        is_refused(document, "internal subset");
    }
}

#[test]
fn a_billion_laughs_are_refused_before_they_begin() {
    let mut document = String::from("<!DOCTYPE lolz [<!ENTITY lol 'lol'>");
    for level in 1..10 {
        document += &format!("<!ENTITY lol{level} '{}'>", format!("&lol{};", level - 1).repeat(10));
    }
    is_refused(document + "]><lolz>&lol9;</lolz>", "internal subset");
    is_refused("<lolz>&lol9;</lolz>", "entity `&lol9;` is refused");
    is_refused("<lolz k='&lol9;'/>", "entity `&lol9;` is refused");
}

#[test]
fn sixty_four_levels_are_taken_and_one_more_is_refused() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(outline(nested(DEPTH_MAX)).ends_with("[]}"));
    is_refused(nested(DEPTH_MAX + 1), "deeper than 64");
    is_refused("<a>".repeat(300_000), "deeper than 64");
}

#[test]
fn sixty_four_attributes_are_taken_and_a_hundred_thousand_are_refused_at_once() {
    let tag = |count: usize| {
        let attributes: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        format!("<a{attributes}/>")
    };
    assert!(outline(tag(ATTRIBUTES_MAX)).ends_with("[]}"));
    is_refused(tag(ATTRIBUTES_MAX + 1), "element `a` has more than 64 attributes");
    is_refused(tag(100_000), "more than 64 attributes");
    is_refused(tag(200_000), "longer than 1048576 bytes");
}

#[test]
fn names_are_told_as_written_whatever_stood_at_their_place_before() {
    let names = ["k", "kk", "k.", "fifteen_letters", "sixteen_letters_", "sixteen_letters", "n\u{e4}me", "k"];
    let tags: String = names.iter().map(|name| format!("<b {name}='1' {name}s = '2' q='3'/>")).collect();
    let told: String = names.iter().map(|name| format!("b{{{name}=1|{name}s=2|q=3|[]}}")).collect();
    assert_eq!(outline(format!("<a>{tags}{tags}</a>")), format!("a{{{told}{told}[]}}"));
    is_refused("<a><b x='' k=''/><b k='' k=''/></a>", "an attribute stands twice");
    is_refused("<a><b k='1'/><b k ''/></a>", "an attribute without `=`");
    is_refused("<a><b k='1'/><b k=/></a>", "an attribute without quotes");
}

#[test]
fn a_value_of_64_kib_is_taken_and_a_longer_one_is_refused() {
    let value = "x".repeat(VALUE_BYTES_MAX);
    assert_eq!(outline(format!("<a k='{value}'/>")).len(), value.len() + "a{k=|[]}".len());
    assert_eq!(outline(format!("<a>{value}</a>")).len(), value.len() + "a{[]}".len());
    is_refused(format!("<a k='{value}x'/>"), "a value has 65537 bytes");
    is_refused(format!("<a>{value}&lt;</a>"), "a value has 65537 bytes");
    is_refused(format!("<a k='{value}&lt;'/>"), "a value has 65537 bytes");
    is_refused(format!("<a><![CDATA[{value}]]>{value}</a>"), "a value has 131072 bytes");
}

#[test]
fn names_are_bounded_like_values() {
    let name = "n".repeat(NAME_BYTES_MAX);
    assert!(outline(format!("<{name} {name}=''/>")).ends_with("[]}"));
    is_refused(format!("<{name}n/>"), "a name has 1025 bytes");
    is_refused(format!("<a {name}n=''/>"), "a name has 1025 bytes");
}

/// Delivers one byte for ever and counts how many were taken.
struct Endless<'a> {
    head: &'a [u8],
    taken: &'a Cell<usize>,
}

impl Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from_head = self.head.read(into)?;
        let read = if from_head > 0 { from_head } else { into.len() };
        into[from_head..read].fill(b'x');
        self.taken.set(self.taken.get() + read);
        Ok(read)
    }
}

#[test]
fn a_token_without_end_is_refused_after_a_mebibyte() {
    for head in ["<", "<a k='", "<a>", "<!--", "<a><![CDATA[", "<?", "<!DOCTYPE a '", "<!DOCTYPE a [", "</", "<a>&"] {
        let taken = Cell::new(0);
        let met = outline_of(Endless { head: head.as_bytes(), taken: &taken });
        assert!(met.contains("longer than 1048576 bytes"), "{head}: {met}");
        // It reads a window at a time.
        assert!(taken.get() < TOKEN_BYTES_MAX + (128 << 10), "{head}: {} bytes were taken", taken.get());
    }
}

#[test]
fn a_stream_of_elements_ends_at_two_million() {
    // Not from memory: the document would be 8 MB.
    let mut left = ELEMENTS_MAX + 1;
    struct Elements<'a>(&'a mut u64, bool);
    impl Read for Elements<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let piece: &[u8] = if self.1 { b"<b/>" } else { b"<a>" };
            if self.1 {
                let whole = (into.len() / piece.len()).min(*self.0 as usize);
                into.chunks_exact_mut(piece.len()).take(whole).for_each(|chunk| chunk.copy_from_slice(piece));
                *self.0 -= whole as u64;
                return Ok(whole * piece.len());
            }
            self.1 = true;
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }
    let met = outline_of(BufReader::with_capacity(1 << 16, Elements(&mut left, false)));
    assert!(met.starts_with("refused: more than 2000000 elements"), "{}", &met[..met.len().min(80)]);
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let bytes = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn utf16_with_a_mark_reads_as_utf8_does() {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a k=\"é€😀\">ü</a>";
    for big_endian in [false, true] {
        let bytes = utf16(document, big_endian);
        assert_eq!(outline(&bytes), "a{k=é€😀|[ü]}");
        for end in 0..bytes.len() {
            is_refused(&bytes[..end], "");
        }
        // An odd byte, a lone surrogate, two halves in the wrong order.
        is_refused([&bytes[..], b"x"].concat(), "UTF-16");
        is_refused([&bytes[..], &utf16("😀", big_endian)[2..4]].concat(), "UTF-16");
        is_refused([&bytes[..], &utf16("😀", big_endian)[4..6]].concat(), "lone surrogate");
    }
    assert_eq!(outline(format!("\u{feff}{}", document.replace("UTF-16", "utf-8"))), "a{k=é€😀|[ü]}");
}

#[test]
fn other_encodings_are_refused_whether_claimed_or_met() {
    is_refused("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "`ISO-8859-1` is declared");
    is_refused("<?xml version='1.0' encoding='UTF-16'?><a/>", "`UTF-16` is declared");
    is_refused(utf16("<?xml version='1.0' encoding='UTF-8'?><a/>", true), "`UTF-8` is declared");
    is_refused(&utf16("<a/>", true)[2..], "without a mark");
    is_refused(&utf16("<a/>", false)[2..], "without a mark");
    is_refused(b"\0\0\xfe\xff\0\0\0<", "without a mark");
    is_refused(b"\xff\xfe\0\0<\0\0\0", "control character");
    is_refused(b"<a>\xe9</a>", "is not UTF-8");
    is_refused(b"<a k='\xe9'/>", "is not UTF-8");
    is_refused(b"<a>\xed\xa0\x80</a>", "is not UTF-8");
    is_refused(b"<a><!-- \xe9 --></a>", "is not UTF-8");
}

#[test]
fn a_document_cut_anywhere_is_refused() {
    let document = "<?xml version=\"1.0\"?><!DOCTYPE a><a k=\"&amp;é\"><b>x&lt;<![CDATA[y]]></b><!-- z --><c/></a>";
    assert_eq!(outline(document), "a{k=&é|b{[x<y]}c{[]}[]}");
    for end in 0..document.len() {
        is_refused(&document.as_bytes()[..end], "");
    }
}

#[test]
fn a_failing_source_is_told_as_such() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let mut reader = XmlReader::new(b"<a>".chain(Failing));
    assert!(matches!(reader.next_token(), Ok(Token::Open(_))));
    let error = reader.next_token().unwrap_err();
    assert!(matches!(error, XmlError::Read(cause) if cause.to_string() == "the disk is gone"));
}

#[test]
fn what_is_kept_is_counted() {
    let mut kept = Kept::default();
    assert!(kept.add(KEPT_BYTES_MAX).is_ok());
    assert!(matches!(kept.add(1), Err(XmlError::Kept)));
    assert!(matches!(kept.add(usize::MAX), Err(XmlError::Kept)));
}

/// Delivers a few bytes at a time.
struct Drip<'a>(usize, &'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = into.len().min(self.0);
        self.1.read(&mut into[..piece])
    }
}

/// Pieces of XML in any order: most are refused, some are read, none may panic or depend on where reads end.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("<a>"),
        Just("</a>"),
        Just("<b k='v'/>"),
        Just("<b k=\"v&lt;\u{e9}\" l = '\"&#9;\t' sixteen_letters_='' />"),
        Just("<b l='' k='' l=''/>"),
        Just("<b k='<'/>"),
        Just("<?xml version='1.0'?>"),
        Just("<!DOCTYPE a>"),
        Just("<!DOCTYPE a [<!ENTI"),
        Just("<!DOCTYPE"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<!--"),
        Just("-->"),
        Just("&amp;"),
        Just("&#65;"),
        Just("&"),
        Just("<?"),
        Just("?>"),
        Just("'"),
        Just("\""),
        Just("<"),
        Just(">"),
        Just(" "),
        Just("\r\n"),
        Just("é"),
        Just("\u{ffff}"),
        Just("]"),
        Just("-"),
        Just("x=\"y\""),
        Just("<!"),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_panic_and_the_size_of_reads_changes_nothing(document in scraps(), piece in 1usize..9) {
        // Reasons may differ: a control character is met as soon as it is read.
        let verdict = |met: String| if met.starts_with("refused") { "refused".into() } else { met };
        prop_assert_eq!(verdict(outline_of(Drip(piece, &document))), verdict(outline(&document)));
    }

    #[test]
    fn what_the_writer_prints_is_read_back(name in "[a-z]{1,8}", value in any::<String>(), text in any::<String>()) {
        let mut xml = XmlWriter::new(Vec::new(), Some("r SYSTEM 'urn:r'")).unwrap();
        xml.open("r").unwrap();
        xml.attribute(&name, &value).unwrap();
        xml.children().unwrap();
        xml.open("t").unwrap();
        xml.text("t", &text).unwrap();
        xml.close("r").unwrap();
        let carried = |value: &str| value.replace(|c| !is_legal_char(c), "\u{fffd}");
        let expected = format!("r{{{name}={}|t{{[{}]}}[]}}", carried(&value), carried(&text));
        prop_assert_eq!(outline(xml.into_inner().unwrap()), expected);
    }
}

#[test]
fn the_writer_cuts_a_value_that_no_reader_would_take() {
    let print = |value: &str| {
        let mut xml = XmlWriter::new(Vec::new(), None).unwrap();
        xml.open("a").unwrap();
        xml.attribute("k", value).unwrap();
        xml.empty().unwrap();
        xml.into_inner().unwrap()
    };
    for character in ["x", "é", "€", "😀", "\"", "\n", "\0"] {
        let document = print(&character.repeat(VALUE_BYTES_MAX));
        let met = outline(&document);
        assert!(!met.starts_with("refused") && document.len() < VALUE_BYTES_MAX + 100, "{character:?}: {met:.80}");
        assert!(document.len() > VALUE_BYTES_MAX - 10, "{character:?}: {}", document.len());
    }
}
