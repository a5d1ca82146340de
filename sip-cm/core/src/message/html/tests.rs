use super::*;
use proptest::prelude::*;

fn text(source: &str) -> String {
    convert(source).text
}

fn markup(source: &str) -> String {
    convert(source).markup.unwrap_or_else(|| panic!("{source} has no formatting"))
}

#[test]
fn s_107_html_is_said_as_its_text() {
    for (source, said) in [
        ("<b>hi</b>", "hi"),
        ("hi", "hi"),
        ("do <em>you</em> see\r\n  this?", "do you see this?"),
        ("<p>one</p>\n<p>two<br>three</p>", "one\ntwo\nthree"),
        ("<DIV>one</DIV><Div>two</Div>", "one\ntwo"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<ol><li>a</li><li><p>b</p><p>c</p></li></ol>after", "1. a\n2. b\nc\nafter"),
        ("see <a href='https://x.example/'>here</a>", "see here (https://x.example/)"),
        ("<a href=https://x.example/>https://x.example/</a>", "https://x.example/"),
        ("<a href=\"mailto:bob@x.example\">bob@x.example</a>", "bob@x.example"),
        ("<a href='javascript:x()'>here</a>", "here"),
        ("<img src='cid:1' alt='a smile'/>", "a smile"),
        (
            "1 &lt; 2 &amp;&amp; gr&uuml;&szlig;e &#x1f600;&#8364; &unknown; & so",
            "1 < 2 && grüße 😀€ &unknown; & so",
        ),
        ("a&nbsp;&nbsp;b", "a  b"),
        ("1 < 2, <3 and <", "1 < 2, <3 and <"),
        ("<script>if (a < b) x('</p>')</script>so", "so"),
        ("<style>p { color: red }</style><!-- <b>not</b> --><!DOCTYPE html>so", "so"),
        ("<html><head><title>no</title></head><body bgcolor=#fff>yes</body></html>", "yes"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\nc"),
        ("<img alt='a > b'>", "a > b"),
        ("&#0;&#x1;&#xd800;x", "&#xd800;x"),
        ("", ""),
        (" <p> </p> ", ""),
    ] {
        assert_eq!(text(source), said, "{source}");
    }
}

#[test]
fn s_107_what_is_formatted_is_written_in_elements_that_every_reader_knows() {
    for (source, written) in [
        ("<b>hi</b>", "<p><strong>hi</strong></p>"),
        ("<I CLASS=x onclick='y()'>hi</I> & you", "<p><em>hi</em> &amp; you</p>"),
        ("<b><i>both</b> one</i>", "<p><strong><em>both</em></strong> one</p>"),
        (
            "<b>over<p>lines</b> end",
            "<p><strong>over</strong></p><p><strong>lines</strong> end</p>",
        ),
        (
            "<a href='https://x.example/?a=1&amp;b=\"2\"'>x<br></a>",
            "<p><a href=\"https://x.example/?a=1&amp;b=&quot;2&quot;\">x<br/></a></p>",
        ),
        ("<ul>\n<li>a</li>\n<li><b>b</b></ul>", "<ul><li>a</li><li><strong>b</strong></li></ul>"),
        (
            "<blockquote>you said</blockquote>no",
            "<blockquote><p>you said</p></blockquote><p>no</p>",
        ),
        (
            "<ul>stray<li>a<ul><li>b</ul></ul>",
            "<ul><li>stray</li><li><p>a</p><ul><li>b</li></ul></li></ul>",
        ),
        (
            "<a href='http://a.example'>a<a href='http://b.example'>b",
            "<p><a href=\"http://a.example\">a</a><a href=\"http://b.example\">b</a></p>",
        ),
        ("</b></ul></li><cite>c", "<p><cite>c</cite></p>"),
    ] {
        assert_eq!(markup(source), written, "{source}");
    }
    for plain in ["hi", "<p>one</p><p>two<br></p>", "<span style='x'>hi</span>", "<li>alone"] {
        assert_eq!(convert(plain).markup, None, "{plain}");
    }
}

/// A reader that looks at the rest again for each of these would be at it for minutes.
#[test]
fn what_is_written_to_cost_time_costs_little() {
    let pieces = [
        "<",
        "<a ",
        "<b>",
        "<ul>",
        "<ul><li>",
        "<blockquote>",
        "&",
        "<a href='",
        "<!-",
        "</",
        "<p><i>",
    ];
    for piece in pieces {
        let source = piece.repeat(65_536 / piece.len());
        let html = convert(&source);
        assert!(html.text.len() + html.markup.unwrap_or_default().len() <= 16 * source.len());
    }
}

proptest! {
    /// Whatever comes, what goes on is well-formed and holds nothing but the elements that are said.
    #[test]
    fn any_text_becomes_sound_markup(source in "([<>/&;='\" a-z]|<b>|</b>|<ul>|<li>|</ul>|<p>|<a href='http:x'>|</a>|<blockquote>|<br>){0,60}") {
        let Some(markup) = convert(&source).markup else { return Ok(()) };
        let mut open: Vec<&str> = Vec::new();
        for tag in markup.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("an end");
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).expect("a name");
            prop_assert!(["p", "br", "a", "strong", "em", "cite", "ul", "ol", "li", "blockquote"].contains(&name), "{}", name);
            match tag.strip_prefix('/') {
                Some(closed) => prop_assert_eq!(open.pop(), Some(closed)),
                None if name == "br" => {}
                None => open.push(name),
            }
        }
        prop_assert!(open.is_empty(), "{}", markup);
    }
}
