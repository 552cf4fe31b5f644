//! Making a failing list of steps short.

/// A part of `steps` that still fails, from which no single step can be left out. `fails` is asked
/// some thousand times at most.
///
/// ```
/// let steps: Vec<u32> = (0..1_000).collect();
/// let short = tcp_sim::shrink(&steps, |steps| steps.contains(&7) && steps.contains(&900));
/// assert_eq!(short, [7, 900]);
/// ```
pub fn shrink<T: Clone>(steps: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut short = steps.to_vec();
    let mut size = short.len() / 2;
    let mut left = 4_000;
    while size > 0 {
        let mut at = 0;
        let before = short.len();
        while at < short.len() && left > 0 {
            left -= 1;
            let mut without = short.clone();
            without.drain(at..short.len().min(at + size));
            if fails(&without) {
                short = without;
            } else {
                at += size;
            }
        }
        if size > 1 || short.len() == before || left == 0 {
            size /= 2;
        }
    }
    short
}
