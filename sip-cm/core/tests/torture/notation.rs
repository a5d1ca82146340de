//! The notation that RFC 4475 §2 prints its messages in, made bytes again.

/// The bytes of message `name` out of a collection of messages headed `=== name`.
pub(crate) fn message(collection: &str, name: &str) -> Vec<u8> {
    let head = format!("=== {name}\n");
    let text = collection.split_once(&head).map(|(_, rest)| rest).expect("a message of this name");
    let text = text.split("\n=== ").next().expect("a message");
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut bytes = Vec::new();
    let mut lines = text.split('\n');
    let mut has_body = false;
    while let Some(line) = lines.next() {
        has_body |= line.is_empty();
        match line {
            "<allOneLine>" => {
                let joined: String = lines.by_ref().take_while(|l| *l != "</allOneLine>").collect();
                bytes.extend(expand(&joined));
            }
            "<hex>" => {
                let digits: String = lines.by_ref().take_while(|l| *l != "</hex>").collect();
                bytes.extend(unhex(&digits));
            }
            line => bytes.extend(expand(line)),
        }
        bytes.extend(b"\r\n");
    }
    if !has_body {
        bytes.extend(b"\r\n");
    }
    bytes
}

/// The names of all messages of a collection.
pub(crate) fn names(collection: &str) -> Vec<&str> {
    collection.lines().filter_map(|line| line.strip_prefix("=== ")).collect()
}

fn expand(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((before, tagged)) = rest.split_once('<') {
        out.extend(before.as_bytes());
        if let Some((digits, after)) =
            tagged.strip_prefix("hex>").and_then(|t| t.split_once("</hex>"))
        {
            out.extend(unhex(digits));
            rest = after;
        } else if let Some((count, after)) =
            tagged.strip_prefix("repeat count=").and_then(|t| t.split_once('>'))
        {
            let (text, after) = after.split_once("</repeat>").expect("an end of the repetition");
            out.extend(text.repeat(count.parse().expect("a count")).as_bytes());
            rest = after;
        } else {
            out.push(b'<');
            rest = tagged;
        }
    }
    out.extend(rest.as_bytes());
    out
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}
