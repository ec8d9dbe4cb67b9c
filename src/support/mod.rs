//! Small parts that everything else stands on and that know no one above: ids, the clock, durable files, HTTP, retry policies,
//! fault points for tests.

pub mod clock;
pub mod durable;
pub mod fault;
pub mod http;
pub mod ids;
pub mod retry;
