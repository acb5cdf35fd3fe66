//! The pictures of a report, as SVG texts.

use std::error::Error;

use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::world::Stage;

type Drawn = Result<String, Box<dyn Error>>;

/// Points of a line; more are drawn as the greatest of each group.
const POINTS_MAX: usize = 1_200;
const SIZE: (u32, u32) = (1_180, 300);
const INK: RGBColor = RGBColor(40, 50, 62);
const LINES: [RGBColor; 3] = [RGBColor(26, 95, 180), RGBColor(200, 92, 12), RGBColor(31, 122, 67)];
const SHADE: RGBColor = RGBColor(165, 29, 45);

/// A line: its name and points, times in days.
struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The greatest of each group, so that no peak is lost.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS_MAX).max(1);
    let greatest = |group: &[(f64, f64)]| group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(group).filter_map(greatest).collect()
}

fn day(start: Timestamp, at: Timestamp) -> f64 {
    at.ms_since(start) as f64 / DAY_MS as f64
}

fn canvas(svg: &mut String, size: (u32, u32)) -> Result<DrawingArea<SVGBackend<'_>, Shift>, Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    Ok(root)
}

/// Shares of nodes that were struck, by the hour: what is shaded.
fn shades(stage: &Stage) -> Vec<f64> {
    let nodes = f64::from(stage.layout.beacons() + 1);
    stage.record.hours.iter().map(|hour| hour.struck_ms as f64 / HOUR_MS as f64 / nodes).collect()
}

fn lines(stage: &Stage, what: &str, lines: Vec<Line>, from: f64) -> Drawn {
    let days = f64::from(stage.scenario.days);
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|point| point.1).fold(from, f64::max);
    let top = if most > from { from + (most - from) * 1.08 } else { from + 1.0 };
    let mut svg = String::new();
    {
        let root = canvas(&mut svg, SIZE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(34)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..days, from..top)?;
        let shades = shades(stage);
        let worst = shades.iter().copied().fold(0.0, f64::max);
        chart.draw_series(shades.iter().enumerate().filter(|(_, shade)| **shade > 0.0).map(|(hour, shade)| {
            let (left, right) = (hour as f64 / 24.0, (hour + 1) as f64 / 24.0);
            Rectangle::new([(left, from), (right, top)], SHADE.mix(0.05 + 0.20 * shade / worst).filled())
        }))?;
        chart
            .configure_mesh()
            .light_line_style(INK.mix(0.05))
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 14, &INK))
            .x_desc("day")
            .y_desc(what)
            .y_labels(6)
            .x_label_formatter(&|day| format!("{day:.1}").trim_end_matches(".0").to_owned())
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        let is_alone = lines.len() == 1;
        for (line, color) in lines.into_iter().zip(LINES) {
            let series = chart.draw_series(LineSeries::new(thinned(line.points), color.stroke_width(2)))?;
            if !is_alone {
                series
                    .label(line.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
            }
        }
        if !is_alone {
            let labels = &mut chart.configure_series_labels();
            labels.background_style(WHITE.mix(0.85)).border_style(INK.mix(0.3)).label_font(("sans-serif", 14, &INK));
            labels.position(SeriesLabelPosition::UpperRight).draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// `1.2M`, `35k`, `0.25`.
pub fn short(value: f64) -> String {
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match value.abs() {
        large if large >= 1e9 => trimmed(format!("{:.2}", value / 1e9)) + "G",
        large if large >= 1e6 => trimmed(format!("{:.2}", value / 1e6)) + "M",
        large if large >= 1e4 => trimmed(format!("{:.1}", value / 1e3)) + "k",
        _ => trimmed(format!("{value:.2}")),
    }
}

/// What leaves and middle beacons held.
pub fn spool(stage: &Stage) -> Drawn {
    let of = |level: usize| {
        stage
            .record
            .spool
            .iter()
            .map(move |(at, levels)| (day(stage.scenario.start, *at), levels[level].packages as f64))
            .collect()
    };
    let both = vec![Line { name: "leaf beacons", points: of(0) }, Line { name: "middle beacons", points: of(1) }];
    lines(stage, "packages held", both, 0.0)
}

/// Arrivals at the server.
pub fn arrivals(stage: &Stage) -> Drawn {
    let per_day = DAY_MS as f64 / MINUTE_MS as f64;
    let points =
        stage.record.arrivals.iter().enumerate().map(|(minute, count)| (minute as f64 / per_day, f64::from(*count)));
    lines(stage, "arrivals a minute", vec![Line { name: "server", points: points.collect() }], 0.0)
}

/// Uploads for each first one.
pub fn amplification(stage: &Stage) -> Drawn {
    let hours = stage.record.hours.iter().enumerate();
    let points = hours
        .filter(|(_, hour)| hour.first > 0)
        .map(|(at, hour)| (at as f64 / 24.0, hour.sent as f64 / hour.first as f64));
    lines(stage, "uploads for each first one", vec![Line { name: "fleet", points: points.collect() }], 1.0)
}

/// Time to the server by quantile; the axis stretches the last ones.
pub fn quantiles(stage: &Stage) -> Drawn {
    let times = &stage.record.time_to_server_ms;
    // Nines: 0.9 is 1, 0.99 is 2.
    let nines = |step: usize| step as f64 / 40.0;
    let points = (0..=40 * 5)
        .map(|step| (nines(step), times.value_at_quantile(1.0 - 10f64.powf(-nines(step))) as f64 / 1_000.0));
    let points: Vec<(f64, f64)> = points.map(|(x, y)| (x, y.max(0.001))).collect();
    let (least, most) =
        points.iter().fold((f64::MAX, 1.0f64), |(least, most), point| (least.min(point.1), most.max(point.1)));
    let mut svg = String::new();
    {
        let root = canvas(&mut svg, SIZE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(34)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..5.0, (least * 0.8..most * 1.3).log_scale())?;
        let names = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
        chart
            .configure_mesh()
            .light_line_style(INK.mix(0.05))
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 14, &INK))
            .x_desc("share of packages that were faster")
            .y_desc("time to the server")
            .x_labels(6)
            .x_label_formatter(&|nines: &f64| names.get(nines.round() as usize).copied().unwrap_or("").to_owned())
            .y_label_formatter(&|secs| duration(*secs))
            .draw()?;
        chart.draw_series(LineSeries::new(points, LINES[0].stroke_width(2)))?;
        root.present()?;
    }
    Ok(svg)
}

/// `250 ms`, `1.5 s`, `3 min`, `2.5 h`, `3 d`.
pub fn duration(secs: f64) -> String {
    match secs {
        secs if secs < 1.0 => format!("{} ms", short((secs * 1_000.0).round())),
        secs if secs < 120.0 => format!("{} s", short(secs)),
        secs if secs < 7_200.0 => format!("{} min", short(secs / 60.0)),
        secs if secs < 172_800.0 => format!("{} h", short(secs / 3_600.0)),
        secs => format!("{} d", short(secs / 86_400.0)),
    }
}

/// Requests to each beacon in each hour, and how many the darkest blue stands for.
pub fn heat(stage: &Stage) -> Result<(String, f64), Box<dyn Error>> {
    let heat = &stage.record.heat;
    let (rows, hours) = (heat.len(), heat.first().map_or(0, Vec::len));
    // As many columns as a screen shows; each the mean of its hours.
    let group = hours.div_ceil(360).max(1);
    let columns = hours.div_ceil(group);
    let mean = |row: usize, column: usize| {
        let cells = &heat[row][column * group..((column + 1) * group).min(hours)];
        cells.iter().map(|cell| f64::from(*cell)).sum::<f64>() / cells.len().max(1) as f64
    };
    let cells: Vec<(usize, usize, f64)> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| (row, column, mean(row, column)))
        .collect();
    let most = cells.iter().map(|cell| cell.2).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let height = 90 + 12 * rows.max(8) as u32;
        let root = canvas(&mut svg, (SIZE.0, height))?;
        let days = f64::from(stage.scenario.days);
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(34)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..days, rows as f64..0.0)?;
        let width = days / columns.max(1) as f64;
        chart.draw_series(cells.iter().map(|&(row, column, value)| {
            let (left, top) = (column as f64 * width, row as f64);
            // From pale to dark blue; the root shows what is small beside peaks.
            let part = (value / most).sqrt();
            let mix = |pale: f64, dark: f64| (pale + (dark - pale) * part) as u8;
            let color = RGBColor(mix(240.0, 8.0), mix(245.0, 48.0), mix(250.0, 107.0));
            Rectangle::new([(left, top), (left + width, top + 1.0)], color.filled())
        }))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 14, &INK))
            .x_desc("day")
            .y_desc("beacons: middle, then leaf")
            .x_label_formatter(&|day| format!("{day:.1}").trim_end_matches(".0").to_owned())
            .y_labels(4)
            .y_label_formatter(&|row| {
                short((1.0 + row * f64::from(stage.layout.beacons()) / rows.max(1) as f64).round())
            })
            .draw()?;
        root.present()?;
    }
    Ok((svg, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!(
            [1_200_000.0, 35_000.0, 0.25, 7.0, 2e9, 9_999.0].map(short),
            ["1.2M", "35k", "0.25", "7", "2G", "9999"]
        );
        assert_eq!([0.25, 1.5, 180.0, 9_000.0, 259_200.0].map(duration), ["250 ms", "1.5 s", "3 min", "2.5 h", "3 d"]);
    }

    #[test]
    fn thinning_keeps_peaks() {
        let points: Vec<(f64, f64)> =
            (0..10_000).map(|at| (f64::from(at), if at == 7_777 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(points);
        assert!(thin.len() <= POINTS_MAX && thin.contains(&(7_777.0, 9.0)));
    }
}
