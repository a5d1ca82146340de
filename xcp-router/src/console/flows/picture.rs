//! The hop picture: three lanes, one for each service, and the way of a packet from lane to lane.
//!
//! Its text stands above the lines, so that none runs through it.

use super::Hop;

/// The lanes from left to right: role, name, and where it is.
const LANES: [(&str, &str, u32); 3] =
    [("sip-cm", "SIP CM", 30), ("xcp-router", "Router", 310), ("xmpp-cm", "XMPP CM", 590)];
/// The first hop, and the way from one hop down to the next.
const TOP: u32 = 42;
const STEP: u32 = 30;
/// Hops that are drawn; a packet passes no more services than 16.
const HOPS: usize = 16;

#[derive(Debug)]
pub(super) struct Picture {
    pub(super) points: Vec<Point>,
    pub(super) height: u32,
}

/// A hop, as it is drawn and as it is read.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) x: u32,
    pub(super) y: u32,
    /// From the hop before: down its lane, then across, and the tip of the arrow.
    pub(super) way: Option<String>,
    pub(super) tip: String,
    pub(super) role: &'static str,
    pub(super) node: String,
    pub(super) verdict: String,
    pub(super) after: String,
    pub(super) class: &'static str,
}

impl Picture {
    pub(super) fn of(hops: &[Hop]) -> Self {
        let start = hops.first().map_or(0, |hop| hop.at_us);
        let mut points: Vec<Point> = Vec::with_capacity(hops.len());
        for (hop, y) in hops.iter().take(HOPS).zip((TOP..).step_by(STEP as usize)) {
            let lane = LANES.iter().find(|(role, _, _)| *role == hop.role);
            let (role, x) = lane.map_or(("another node", 310), |(_, name, x)| (*name, *x));
            let way = points.last().map(|from| way(from, x, y));
            let from = points.last().map_or(x, |from| from.x);
            points.push(Point {
                x,
                y,
                way,
                tip: tip(from, x, y),
                role,
                node: hop.node.clone(),
                verdict: hop.verdict.clone(),
                after: after(hop.at_us.saturating_sub(start)),
                class: class(&hop.verdict),
            });
        }
        let height = points.last().map_or(TOP, |last| last.y) + 14;
        Picture { points, height }
    }

    /// Names of the lanes and where they are.
    pub(super) fn lanes(&self) -> [(&'static str, u32); 3] {
        LANES.map(|(_, name, x)| (name, x))
    }
}

impl Point {
    /// Where the text begins, right of the lane and above the line.
    pub(super) fn text_x(&self) -> u32 {
        self.x + 12
    }

    pub(super) fn text_y(&self) -> u32 {
        self.y - 6
    }
}

fn way(from: &Point, x: u32, y: u32) -> String {
    format!("M{} {}V{y}H{x}", from.x, from.y)
}

/// An arrow's tip that touches the dot from the side from which the packet comes.
fn tip(from: u32, x: u32, y: u32) -> String {
    let (low, high) = (y - 4, y + 4);
    match from.cmp(&x) {
        std::cmp::Ordering::Less => {
            format!("{},{low} {},{high} {},{y}", x - 13, x - 13, x - 5)
        }
        std::cmp::Ordering::Greater => {
            format!("{},{low} {},{high} {},{y}", x + 13, x + 13, x + 5)
        }
        std::cmp::Ordering::Equal => String::new(),
    }
}

/// `+1.234 ms`
fn after(micros: u64) -> String {
    format!("+{}.{:03} ms", micros / 1_000, micros % 1_000)
}

/// How a verdict looks: a success, a step on the way, or a failure.
fn class(verdict: &str) -> &'static str {
    match verdict {
        "delivered" => "good",
        "received" | "submitted" | "local" | "configured" | "cached" | "discover" | "fallback" => {
            ""
        }
        _ => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(role: &str, verdict: &str, at_us: u64) -> Hop {
        Hop { node: format!("a-{role}"), role: role.into(), verdict: verdict.into(), at_us }
    }

    #[test]
    fn the_documented_hop_goes_from_lane_to_lane_and_back() {
        let hops = [
            hop("sip-cm", "received", 1_000_000),
            hop("xcp-router", "discover", 1_000_867),
            hop("xmpp-cm", "remote-server-not-found", 1_002_967),
            hop("xcp-router", "fallback", 1_003_320),
            hop("sip-cm", "delivered", 1_004_111),
        ];
        let picture = Picture::of(&hops);
        let lanes: Vec<u32> = picture.points.iter().map(|point| point.x).collect();
        assert_eq!(lanes, [30, 310, 590, 310, 30]);
        let times: Vec<&str> = picture.points.iter().map(|point| point.after.as_str()).collect();
        assert_eq!(times, ["+0.000 ms", "+0.867 ms", "+2.967 ms", "+3.320 ms", "+4.111 ms"]);
        let ways: Vec<_> = picture.points.iter().filter_map(|point| point.way.clone()).collect();
        assert_eq!(
            ways,
            ["M30 42V72H310", "M310 72V102H590", "M590 102V132H310", "M310 132V162H30"]
        );
        let classes: Vec<_> = picture.points.iter().map(|point| point.class).collect();
        assert_eq!(classes, ["", "", "bad", "", "good"]);
        assert_eq!(picture.height, 176);
    }

    #[test]
    fn a_way_without_hops_and_one_with_far_too_many_are_drawn_too() {
        assert_eq!(Picture::of(&[]).points.len(), 0);
        let many: Vec<Hop> = (0..100).map(|at| hop("nobody", "?", at)).collect();
        assert_eq!(Picture::of(&many).points.len(), HOPS);
    }
}
