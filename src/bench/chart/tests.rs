//! Whole charts.

use super::*;

fn series(name: &str, color: usize, points: &[(f64, f64)]) -> Series {
    Series { name: name.into(), color, style: SeriesStyle::Line, points: points.to_vec() }
}

fn over_time(panels: usize) -> Chart {
    let points: Vec<(f64, f64)> =
        (0..60).map(|x| (f64::from(x), if x == 30 { f64::NAN } else { 100.0 })).collect();
    let panel = |number: usize| Panel {
        y: Axis::new(format!("panel {number}, 1/s"), Scale::Linear),
        series: vec![series("rate", 0, &points)],
    };
    Chart {
        title: "A roll".into(),
        subtitle: "3 nodes".into(),
        x: Axis::new("seconds", Scale::Linear),
        panels: (0..panels).map(panel).collect(),
        marks: vec![Mark { x: 10.0, label: "n1".into() }, Mark { x: 11.0, label: "n2".into() }],
    }
}

#[test]
fn equal_data_are_equal_bytes() {
    assert_eq!(over_time(3).to_svg(), over_time(3).to_svg());
}

#[test]
fn panels_share_one_axis_and_all_texts_are_texts() {
    let svg = over_time(3).to_svg();
    for text in ["A roll", "3 nodes", "panel 0, 1/s", "panel 2, 1/s", "n1", "n2", "rate"] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}: {svg}");
    }
    assert_eq!(svg.matches(">seconds</text>").count(), 1);
    assert!(svg.contains("viewBox=\"0 0 800 710\""), "{svg}");
}

#[test]
fn a_gap_parts_the_line() {
    let lines = |chart: &Chart| chart.to_svg().matches("stroke-width=\"2\"").count();
    assert_eq!(lines(&over_time(1)), 2);
}

#[test]
fn a_chart_without_data_is_a_picture_too() {
    for panels in [0, 1] {
        let mut chart = over_time(panels);
        chart.panels.iter_mut().for_each(|panel| panel.series.clear());
        chart.marks.clear();
        let svg = chart.to_svg();
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    }
}

#[test]
fn labels_of_lines_that_end_together_are_apart() {
    let mut chart = over_time(1);
    let points = [(0.0, 1.0), (1.0, 2.0)];
    chart.panels[0].series = vec![series("a", 0, &points), series("b", 1, &points)];
    let svg = chart.to_svg();
    let height = |name: &str| -> f64 {
        let line = svg.lines().find(|line| line.ends_with(&format!(">{name}</text>"))).unwrap();
        line.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert!((height("a") - height("b")).abs() >= 15.0);
}

#[test]
fn two_charts_below_each_other_do_not_overlap() {
    let svg = over_time(1).to_svg_above(&over_time(2));
    let tops: Vec<_> = svg.lines().filter(|line| line.starts_with("<svg ")).collect();
    assert!(tops[0].contains(r#"viewBox="0 0 800 1030""#), "{tops:?}");
    assert!(!tops[1].contains(" y=") && tops[1].contains(r#"height="450""#), "{tops:?}");
    assert!(tops[2].contains(r#" y="450" "#) && tops[2].contains(r#"height="580""#), "{tops:?}");
}
