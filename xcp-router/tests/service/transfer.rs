//! The domain table goes out and comes in as CSV.

use serde_json::{Value, json};

use crate::stage::Stage;

const IMPORT: &str = "/api/v1/sip-domains/import";
const EXPORT: &str = "/api/v1/sip-domains/export";

async fn import(stage: &Stage, query: &str, body: &str) -> (u16, Value) {
    let (head, text) = stage.raw("POST", &format!("{IMPORT}{query}"), "text/csv", body).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

async fn domains(stage: &Stage, query: &str) -> Vec<String> {
    let (_, csv) = stage.raw("GET", &format!("{EXPORT}{query}"), "text/plain", "").await;
    csv.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_goes_out_comes_in_again() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(&directory.path().join("one")).await;
    // More than the pieces of an export and the batches of an import.
    let body: String = (0..9_000).map(|n| format!("n{n}.example,\"row, {n}\"\r\n")).collect();
    let body = format!("domain,description\r\n{body}");
    let (status, counts) = import(&stage, "?dry_run=true", &body).await;
    let all = json!({ "rows": 9_000, "added": 9_000, "configured": 0, "unchanged": 0 });
    let expect = |dry_run: bool| {
        let mut expected = all.clone();
        expected["dry_run"] = json!(dry_run);
        expected
    };
    assert_eq!((status, counts), (200, expect(true)));
    assert!(domains(&stage, "").await.is_empty(), "nothing was changed");

    assert_eq!(import(&stage, "", &body).await, (200, expect(false)));
    let mut names: Vec<String> = (0..9_000).map(|n| format!("n{n}.example")).collect();
    names.sort();
    assert_eq!(domains(&stage, "").await, names);
    let (head, csv) = stage.raw("GET", EXPORT, "text/plain", "").await;
    assert!(head.contains("text/csv") && head.contains("sip-domains.csv"), "{head}");
    assert!(csv.contains("\r\nn17.example,\"row, 17\",configured,20"), "{}", &csv[..200]);
    assert_eq!(domains(&stage, "?search=n123").await.len(), 11);

    // An export is an import, somewhere else or again.
    let other = Stage::start(&directory.path().join("two")).await;
    assert_eq!(import(&other, "", &csv).await, (200, expect(false)));
    let (_, again) = import(&other, "", &csv).await;
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(0), &json!(9_000)));
    let (_, row) = other.get("/api/v1/sip-domains/n17.example").await;
    assert_eq!(row["description"], "row, 17");
    let (_, audit) = other.get("/api/v1/audit").await;
    assert_eq!(audit["items"][0]["action"], "import SIP domains");
    assert_eq!(
        audit["items"].as_array().unwrap().len(),
        1,
        "an import that changes nothing is none"
    );
    stage.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn lines_with_faults_are_told_all_at_once_and_the_others_count() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let long = "x".repeat(300);
    let body = format!(
        "domain,description\ngood.example,\nsingle,\n\n192.0.2.1,\ncorp.example,\n\
         b.example\nc.example,{long}\nd.example,\"open\n{}\nlast.example,fine",
        "y".repeat(5_000)
    );
    let (status, problem) = import(&stage, "", &body).await;
    assert_eq!(status, 422, "{problem}");
    let errors = problem["errors"].as_array().unwrap().iter();
    let told: Vec<(&str, &str)> = errors
        .map(|error| (error["field"].as_str().unwrap(), error["message"].as_str().unwrap()))
        .collect();
    let expected = [
        ("line 3", "at least two labels"),
        ("line 5", "address"),
        ("line 6", "a domain of our own"),
        ("line 7", "has 1 fields"),
        ("line 8", "longer than 255"),
        ("line 9", "not closed"),
        ("line 10", "longer than 4096 bytes"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((line, message), (expected_line, part)) in told.into_iter().zip(expected) {
        assert_eq!(line, expected_line);
        assert!(message.contains(part), "{line}: {message}");
    }
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("7 lines have faults") && detail.contains("2 added"), "{detail}");
    assert_eq!(domains(&stage, "").await, ["good.example", "last.example"]);

    // Very many are counted.
    let body = format!("domain\n{}", "single\n".repeat(1_000));
    let (_, problem) = import(&stage, "", &body).await;
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert!(problem["detail"].as_str().unwrap().contains("1000 lines"), "{problem}");
    stage.stop().await;
}

#[tokio::test]
async fn what_is_no_table_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    for (body, fault) in
        [("", "no header"), ("name\na.example\n", "no column \"name\""), ("\u{0}\n", "no column")]
    {
        let (status, problem) = import(&stage, "", body).await;
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!((status, errors.len()), (422, 1), "{problem}");
        assert!(errors[0]["message"].as_str().unwrap().contains(fault), "{problem}");
    }
    let (head, _) = stage.raw("POST", IMPORT, "text/plain", "domain\na.example\n").await;
    assert!(head.starts_with("HTTP/1.0 415"), "a web page could send that: {head}");
    let (status, problem) = import(&stage, "?dry_run=perhaps", "domain\n").await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("dry_run")));
    assert!(domains(&stage, "").await.is_empty());
    stage.stop().await;
}
