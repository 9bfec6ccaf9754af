//! A feature of the facade is enough for a framework's adapter to register itself: no code here names an adapter.

#[test]
fn each_framework_that_is_a_feature_is_registered() {
    let features = [
        ("burn", cfg!(feature = "burn")),
        ("candle", cfg!(feature = "candle")),
        ("linfa", cfg!(feature = "linfa")),
    ];
    let expected: Vec<_> = features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let mut registered: Vec<_> =
        runlog::integration::integrations().iter().map(|found| found.name()).collect();
    registered.retain(|name| features.iter().any(|(feature, _)| feature == name));
    registered.sort_unstable();
    assert_eq!(registered, expected);
    assert!(expected.contains(&"linfa"), "this package tests itself with the feature");
}
