//! The moments of one query: however often a source is asked within it, it is the same moment.

use super::QueryError;
use super::table::Measured;
use engine::moment::{Moment, Reader};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Moments by source, taken when they are first needed.
pub(crate) struct Moments {
    reader: Arc<dyn Reader>,
    taken: Mutex<BTreeMap<usize, Arc<Moment>>>,
}

impl Moments {
    pub fn new(reader: &Arc<dyn Reader>) -> Moments {
        Moments { reader: Arc::clone(reader), taken: Mutex::default() }
    }

    /// The moment of a metric's source.
    pub fn get(&self, measured: &Measured) -> Result<Arc<Moment>, QueryError> {
        let moment = self.of(measured.source)?;
        let same = Arc::ptr_eq(moment.source(), &measured.spec) || **moment.source() == *measured.spec;
        if same {
            return Ok(moment);
        }
        let message = "the pipeline was changed while the query was planned";
        Err(QueryError::unavailable(message).hint("ask again"))
    }

    /// The moment of a source.
    pub fn of(&self, source: usize) -> Result<Arc<Moment>, QueryError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moment) = taken.get(&source) {
            return Ok(Arc::clone(moment));
        }
        let moment = self.reader.moment(source).map_err(QueryError::unavailable)?;
        taken.insert(source, Arc::clone(&moment));
        Ok(moment)
    }

    /// The moments that were needed so far, by the number of their source.
    pub fn taken(&self) -> Vec<(usize, Arc<Moment>)> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter().map(|(source, moment)| (*source, Arc::clone(moment))).collect()
    }
}
