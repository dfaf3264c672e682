//! Labels that would overlap, moved apart.

/// The least distance of two labels' lines, in pixels.
const LINE_HEIGHT: f64 = 15.0;

/// Moves heights apart by at least a line within the bounds, each as little as its neighbours allow.
/// Returns them in the given order.
pub(super) fn spread(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
    let mut places = heights.to_vec();
    let mut least = top;
    for &label in &order {
        places[label] = places[label].max(least);
        least = places[label] + LINE_HEIGHT;
    }
    let mut greatest = bottom;
    for &label in order.iter().rev() {
        places[label] = places[label].min(greatest);
        greatest = places[label] - LINE_HEIGHT;
    }
    places
}

/// Puts texts that stand at `centres`, so wide, on as few rows as keep them apart; at most `rows`.
/// Returns the row of each.
pub(super) fn rows(extents: &[(f64, f64)], rows: usize) -> Vec<usize> {
    let mut ends = vec![f64::NEG_INFINITY; rows];
    let mut row_of = |(left, right): &(f64, f64)| {
        let free = ends.iter().position(|end| end < left).unwrap_or(rows - 1);
        ends[free] = *right;
        free
    };
    extents.iter().map(&mut row_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_moved_apart_and_stay_inside() {
        let found = spread(&[100.0, 101.0, 20.0, 100.0], 0.0, 105.0);
        assert_eq!(found, [75.0, 105.0, 20.0, 90.0]);
    }

    #[test]
    fn texts_that_overlap_go_to_the_next_row() {
        assert_eq!(
            rows(&[(0.0, 50.0), (40.0, 90.0), (60.0, 99.0), (65.0, 120.0)], 3),
            [0, 1, 0, 2]
        );
    }
}
