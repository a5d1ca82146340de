//! The order in which a domain wants its servers to be tried.

use super::Srv;

/// `random(n)` gives a number in `0..n`.
pub type Random<'a> = &'a mut (dyn FnMut(u32) -> u32 + Send);

/// RFC 2782: lowest priority first; among equals a draw by weight, each drawn one taken out. Where
/// no weight is given, all have the same.
pub fn in_order<T>(mut records: Vec<T>, srv: impl Fn(&T) -> &Srv, random: Random<'_>) -> Vec<T> {
    // Weight 0 goes first, so that it is drawn only by the lowest number.
    records.sort_by_key(|it| (srv(it).priority, srv(it).weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = srv(first).priority;
        let peers = records.iter().take_while(|it| srv(it).priority == priority);
        let weights: Vec<u32> = peers.map(|it| u32::from(srv(it).weight)).collect();
        ordered.push(records.remove(draw(&weights, random)));
    }
    ordered
}

fn draw(weights: &[u32], random: Random<'_>) -> usize {
    let total: u32 = weights.iter().sum();
    if total == 0 {
        let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let drawn = random(count).min(count - 1);
        return usize::try_from(drawn).unwrap_or(0);
    }
    let drawn = random(total.saturating_add(1)).min(total);
    let mut sum = 0;
    let at = weights.iter().position(|weight| {
        sum += weight;
        sum >= drawn
    });
    at.unwrap_or(0)
}
