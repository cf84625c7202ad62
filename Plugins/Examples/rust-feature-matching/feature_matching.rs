//! A loss in Rust: labels, the teacher's relation between the classes, and where its features are
//! strong.
//!
//! Sample i costs `labels` CE(s, label) + `direction` (1 - r(p_s, p_t)) + the mean over the features
//! of `features` (1 - cos(q(f_s), q(f_t))). r is the correlation of the classes' probabilities, a
//! cosine in which their mean does not count. q of a feature [C, ...] is the sum of squares over its
//! channels at each place, so that a teacher may have more channels than its student; of a feature
//! [C] it is the feature.
//!
//! Sources: Huang, You, Wang, Qian and Xu, Knowledge Distillation from A Stronger Teacher, 2022,
//! section 3.2, arXiv:2205.10536; Zagoruyko and Komodakis, Paying More Attention to Attention, 2017,
//! section 3.1, arXiv:1612.03928. Deviations: no temperature; no correlation over the samples of a
//! batch, because a loss is a sum over samples here; 1 - cos where the second paper has the distance
//! of the normalised maps, sqrt(2 - 2 cos), whose gradient has no limit where they meet.
//!
//! The lesson: a loss is a sum and its gradient; features of any shape; a loop over the host's
//! threads in which each sample is added up by one task, so that the bytes never depend on threads.
use billhook::{
    bh_loss_io, bh_tensor, failure, Call, Failure, Instance, Loss, Outcome, Parameter, Values,
};

struct FeatureMatching {
    labels: f64,
    direction: f64,
    features: f64,
}

impl Instance for FeatureMatching {
    fn new(values: &Values) -> Result<Self, Failure> {
        Ok(Self { labels: values.f64(0), direction: values.f64(1), features: values.f64(2) })
    }
}

/// Adds `factor` times the gradient of 1 - cos(x, y) with respect to x, and returns 1 - cos(x, y);
/// 0 for a vector without a direction.
fn direction_loss(x: &[f64], y: &[f64], factor: f64, gradient: &mut [f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (x_norm, y_norm) = (dot(x, x).sqrt(), dot(y, y).sqrt());
    if x_norm < 1e-12 || y_norm < 1e-12 {
        return 0.0;
    }
    let cosine = dot(x, y) / (x_norm * y_norm);
    for (g, (x, y)) in gradient.iter_mut().zip(x.iter().zip(y)) {
        *g -= factor * (y / y_norm - cosine * x / x_norm) / x_norm;
    }
    1.0 - cosine
}

/// The classes' probabilities, and the logarithm of the sum of the powers of e.
fn softmax(logits: &[f32]) -> (Vec<f64>, f64) {
    let top = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b)) as f64;
    let powers: Vec<f64> = logits.iter().map(|x| (*x as f64 - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (powers.iter().map(|power| power / sum).collect(), sum.ln() + top)
}

/// 1 - the correlation of two softmaxes; adds `factor` times its gradient by the logits of the first.
fn correlation_loss(p: &[f64], q: &[f64], factor: f64, gradient: &mut [f64]) -> f64 {
    // Probabilities add up to 1.
    let centred = |p: &[f64]| p.iter().map(|x| x - 1.0 / p.len() as f64).collect::<Vec<_>>();
    let mut slope = vec![0.0; p.len()];
    let loss = direction_loss(&centred(p), &centred(q), factor, &mut slope);
    let mean: f64 = p.iter().zip(&slope).map(|(p, slope)| p * slope).sum();
    for (g, (p, slope)) in gradient.iter_mut().zip(p.iter().zip(&slope)) {
        *g += p * (slope - mean);
    }
    loss
}

/// The strength of a sample's feature at each place: [channels, places] to [places].
fn strength(feature: &[f32], places: usize) -> Vec<f64> {
    let mut map = vec![0.0; places];
    for channel in feature.chunks(places) {
        for (q, x) in map.iter_mut().zip(channel) {
            *q += *x as f64 * *x as f64;
        }
    }
    map
}

/// One sample's part of a feature, and of the gradient when it is asked for.
fn feature_loss(
    student: &[f32], teacher: &[f32], places: usize, factor: f64, gradient: Option<&mut [f32]>,
) -> f64 {
    // Without places the channels themselves are compared.
    let is_plain = places == 0;
    let plain = |x: &[f32]| x.iter().map(|x| *x as f64).collect::<Vec<_>>();
    let (q, t) = if is_plain {
        (plain(student), plain(teacher))
    } else {
        (strength(student, places), strength(teacher, places))
    };
    let mut dq = vec![0.0; q.len()];
    let loss = direction_loss(&q, &t, factor, &mut dq);
    for (index, g) in gradient.into_iter().flatten().enumerate() {
        let inner = if is_plain { 1.0 } else { 2.0 * student[index] as f64 };
        *g = (dq[if is_plain { index } else { index % places }] * inner) as f32;
    }
    loss
}

/// Elements of one sample.
fn row<T>(elements: &[T], rows: usize, index: usize) -> &[T] {
    let width = if rows > 0 { elements.len() / rows } else { 0 };
    &elements[index * width..(index + 1) * width]
}

/// Output memory of which each task writes rows of its own.
struct Rows<T>(*mut T, usize);
unsafe impl<T> Sync for Rows<T> {}
impl<T> Rows<T> {
    fn new(all: &mut [T], rows: usize) -> Self { Self(all.as_mut_ptr(), all.len() / rows.max(1)) }
    #[allow(clippy::mut_from_ref)]
    unsafe fn row(&self, index: usize) -> &mut [T] {
        std::slice::from_raw_parts_mut(self.0.add(index * self.1), self.1)
    }
}

/// The number of places at which two features are compared; 0 to compare their channels.
fn places(name: &str, student: &bh_tensor, teacher: &bh_tensor) -> Result<usize, Failure> {
    let (s, t) = (student.sizes(), teacher.sizes());
    let fits = s.len() == t.len() && s.len() >= 2 && if s.len() == 2 { s == t } else { s[2..] == t[2..] };
    if !fits {
        return failure(
            billhook::E_UNSUPPORTED,
            format!("the feature \"{}\" has the shape {:?} but the teacher's has {:?}; all sizes \
                     behind the channels must be equal, and the channels too when there are none", name, s, t),
        );
    }
    Ok(if s.len() == 2 { 0 } else { s[2..].iter().product::<i64>() as usize })
}

impl Loss for FeatureMatching {
    fn compute(&self, call: Call, io: &bh_loss_io) -> Outcome {
        unsafe {
            let student_tensor = &*io.student;
            let rows = student_tensor.sizes()[0] as usize;
            let student = student_tensor.elements::<f32>();
            let teacher = match io.teacher.as_ref() {
                Some(teacher) => teacher.elements::<f32>(),
                None => return failure(billhook::E_INVALID_ARG, "there is no teacher to compare with"),
            };
            let labels = io.labels.as_ref().map(|labels| labels.elements::<i32>());
            let weights = io.sample_weight.as_ref().map(|weights| weights.elements::<f32>());
            let features = if io.n_features == 0 { &[] } else {
                std::slice::from_raw_parts(io.features, io.n_features as usize)
            };
            let mut matched = Vec::new();
            for feature in features.iter().map(|feature| &**feature) {
                let name = std::ffi::CStr::from_ptr(feature.name).to_string_lossy();
                let (s, t) = (&*feature.student, &*feature.teacher);
                let gradient = feature.grad_student_out.as_ref()
                    .map(|g| Rows::new(g.elements_mut::<f32>(), rows));
                matched.push((s.elements::<f32>(), t.elements::<f32>(), places(&name, s, t)?, gradient));
            }
            let gradient = io.grad_student_out.as_ref()
                .map(|g| Rows::new(g.elements_mut::<f32>(), rows));
            let grad_scale = io.grad_scale;
            let mut sums = vec![0.0f64; rows];
            let out = Rows::new(&mut sums, rows);
            call.parallel_for(rows as i64, 8, |piece, begin, end| {
                if piece.is_cancelled() {
                    return failure(billhook::E_CANCELLED, "");
                }
                for index in begin as usize..end as usize {
                    let weight = weights.map_or(1.0, |weights| weights[index] as f64);
                    let factor = weight * grad_scale;
                    let logits = row(student, rows, index);
                    let mut slope = vec![0.0; logits.len()];
                    let (p, log_sum) = softmax(logits);
                    let (q, _) = softmax(row(teacher, rows, index));
                    let mut loss = self.direction
                        * correlation_loss(&p, &q, self.direction * factor, &mut slope);
                    let label = labels.map_or(billhook::LABEL_IGNORED, |labels| labels[index]);
                    if label != billhook::LABEL_IGNORED {
                        loss += self.labels * (log_sum - logits[label as usize] as f64);
                        for (g, p) in slope.iter_mut().zip(&p) {
                            *g += self.labels * factor * p;
                        }
                        slope[label as usize] -= self.labels * factor;
                    }
                    if let Some(gradient) = &gradient {
                        for (g, slope) in gradient.row(index).iter_mut().zip(&slope) {
                            *g = *slope as f32;
                        }
                    }
                    for (s, t, places, gradient) in &matched {
                        let share = self.features / matched.len() as f64;
                        loss += share * feature_loss(
                            row(s, rows, index), row(t, rows, index), *places, share * factor,
                            gradient.as_ref().map(|gradient| gradient.row(index)),
                        );
                    }
                    out.row(index)[0] = weight * loss;
                }
                Ok(())
            })?;
            *io.loss_sum_out = sums.iter().sum();
            *io.weight_sum_out = weights
                .map_or(rows as f64, |weights| weights.iter().map(|w| *w as f64).sum());
        }
        Ok(())
    }
}

billhook::module!(
    "org.example.feature-matching.module", "1.0.0", "Example", "0BSD",
    [billhook::loss::<FeatureMatching>("org.example.feature-matching")
        .name("Cosine and feature matching")
        .summary("The teacher's relation between the classes, and where its features are strong.")
        .caps(billhook::CAP_DETERMINISTIC | billhook::CAP_CONCURRENT)
        .needs(billhook::NEED_TEACHER | billhook::NEED_FEATURES)
        .parameter(Parameter::f64("labels", "The weight of the labels.", 1.0, 0.0, 1000.0))
        .parameter(Parameter::f64("direction", "The weight of the probabilities' correlation.", 5.0, 0.0, 1000.0))
        .parameter(Parameter::f64("features", "The weight of the features.", 20.0, 0.0, 1000.0))]
);
