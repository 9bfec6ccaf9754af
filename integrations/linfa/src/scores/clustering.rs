//! Clustering: inertia over all rows, the silhouette over a bounded sample of them.

use ndarray::{ArrayView1, ArrayView2};

use super::number;

/// The sum of squared distances to the closest centroid, as scikit-learn defines it (linfa's is a mean).
pub(crate) fn inertia<F: Copy + Into<f64>>(
    records: &ArrayView2<'_, F>,
    centroids: &ArrayView2<'_, F>,
) -> f64 {
    let closest = |row: ArrayView1<'_, F>| {
        centroids
            .rows()
            .into_iter()
            .map(|centroid| squared_distance(&row, &centroid))
            .fold(f64::INFINITY, f64::min)
    };
    records.rows().into_iter().map(closest).sum()
}

/// The mean silhouette coefficient; `None` unless there are at least 2 clusters and fewer than rows.
///
/// Its cost grows with the square of the rows.
pub(crate) fn silhouette<F: Copy + Into<f64>>(
    records: &ArrayView2<'_, F>,
    clusters: &ArrayView1<'_, usize>,
) -> Option<f64> {
    let rows = records.nrows();
    let mut sizes = vec![0_usize; clusters.iter().max()? + 1];
    for cluster in clusters {
        sizes[*cluster] += 1;
    }
    let used = sizes.iter().filter(|size| **size > 0).count();
    if used < 2 || used >= rows || clusters.len() != rows {
        return None;
    }
    let mut total = 0.0;
    let mut distances = vec![0.0; sizes.len()];
    for (row, own) in records.rows().into_iter().zip(clusters) {
        distances.fill(0.0);
        for (other, cluster) in records.rows().into_iter().zip(clusters) {
            distances[*cluster] += squared_distance(&row, &other).sqrt();
        }
        total += coefficient(&distances, &sizes, *own);
    }
    Some(total / number(rows))
}

/// Of one row in cluster `own`, from the sums of its distances to the rows of each cluster.
fn coefficient(distances: &[f64], sizes: &[usize], own: usize) -> f64 {
    if sizes[own] == 1 {
        return 0.0;
    }
    let within = distances[own] / number(sizes[own] - 1);
    let nearest = distances
        .iter()
        .zip(sizes)
        .enumerate()
        .filter(|(cluster, (_, size))| *cluster != own && **size > 0)
        .map(|(_, (distance, size))| distance / number(*size))
        .fold(f64::INFINITY, f64::min);
    let larger = within.max(nearest);
    if larger > 0.0 { (nearest - within) / larger } else { 0.0 }
}

fn squared_distance<F: Copy + Into<f64>>(left: &ArrayView1<'_, F>, right: &ArrayView1<'_, F>) -> f64 {
    left.iter()
        .zip(right)
        .map(|(left, right)| {
            let difference = (*left).into() - (*right).into();
            difference * difference
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Expected values by scikit-learn 1.9.1.
    #[test]
    fn values_are_scikit_learns() {
        let records = array![[0.0, 0.0], [0.0, 1.0], [4.0, 4.0], [4.0, 5.0], [9.0, 9.0]];
        let clusters = array![0_usize, 0, 1, 1, 2];
        let value = silhouette(&records.view(), &clusters.view()).unwrap();
        assert!((value - 0.658_595_832_876_003_8).abs() < 1e-12, "{value}");
        let centroids = array![[0.0, 0.5], [4.0, 4.5], [9.0, 9.0]];
        assert!((inertia(&records.view(), &centroids.view()) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_cluster_or_one_for_each_row_has_no_silhouette() {
        let records = array![[0.0], [1.0], [2.0]];
        assert!(silhouette(&records.view(), &array![0, 0, 0].view()).is_none());
        assert!(silhouette(&records.view(), &array![0, 1, 2].view()).is_none());
        assert!(silhouette(&array![[]].view() as &ArrayView2<'_, f64>, &array![].view()).is_none());
    }
}
