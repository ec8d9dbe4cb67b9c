//! Small parts that everything else stands on and that know no one above: ids, the clock, durable files, retry policies,
//! the HTTP client and how it finds servers, the dispatcher's own secrets, what is wrong with a file and how other people's
//! text is shown, names of variables, inherited descriptors, the control protocol, what a look at a dependency found, until
//! when one may act, age, fault points for tests.

pub mod chain;
pub mod checkup;
pub mod clock;
pub mod control;
pub mod descriptors;
pub mod diagnostic;
pub mod durable;
pub mod fault;
pub mod http;
pub mod ids;
pub mod keepsake;
pub mod names;
pub mod retry;
pub mod seal;
pub mod status;
pub mod tenure;
pub mod text;
pub mod variables;
pub mod watch;
