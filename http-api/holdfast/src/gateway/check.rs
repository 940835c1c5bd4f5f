//! `holdfast gateway check`: asks a payment service what the contract demands, case by case.
//!
//! Each case uses keys of its own, so checks can be repeated. It charges 1.00 a few times.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use engine::ids::{OrderId, RefundId};
use engine::money::Money;
use engine::trace::TraceId;
use futures_util::future::join_all;
use hyper::Method;
use raft_node::payment::{Answer, Charge, RefundCall};

use super::http::{Ask, HttpGateway, Resource, Said, charge_body, read, refund_body};
use super::service;
use super::sign::{Signed, signature};
use crate::exit::CliError;
use crate::runtime;
use crate::settings::ServiceFlags;

/// The amount of a charge.
const AMOUNT: Money = Money(100);

/// Requests with one key at a time.
const AT_ONCE: usize = 8;

/// The flags of `gateway check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    service: ServiceFlags,
}

/// Runs all cases and prints a line for each.
pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let target = service::target(&options.service)?;
    let secrets = target.secrets().to_vec();
    let gateway = HttpGateway::new(target);
    let failed = runtime::start()?.block_on(async {
        let check = Check { gateway, secrets, run: now_s() };
        check.all().await
    });
    match failed {
        0 => {
            println!("The service keeps the contract.");
            Ok(())
        }
        failed => Err(CliError::Failed(format!(
            "{failed} cases failed: docs/GATEWAY.md says what each request must get"
        ))),
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

struct Check {
    gateway: HttpGateway,
    secrets: Vec<String>,
    /// Tells the keys of this run from those of earlier ones.
    run: u64,
}

/// Why a case failed.
type Case = Result<(), String>;

impl Check {
    /// Runs all cases; returns how many failed.
    async fn all(&self) -> usize {
        let mut failed = 0;
        let mut told = |name: &str, case: Case| match case {
            Ok(()) => println!("ok      {name}"),
            Err(why) => {
                failed += 1;
                println!("FAILED  {name}: {why}");
            }
        };
        told("PUT charges and says the amount", self.charges(1).await);
        told("PUT with the same key and body gets the same answer", self.repeats(2).await);
        told("GET says what became of a key", self.looks_up(3).await);
        told("PUT with a known key and another amount gets 422", self.refuses_change(4).await);
        told("GET of an unseen key gets 404 {\"status\": \"unseen\"}", self.unseen(5).await);
        told("DELETE of an unseen key fences it", self.fences(6).await);
        told("DELETE of a charged key says that it is charged", self.keeps_charge(7).await);
        told("PUTs of one key at a time charge once", self.at_once(8).await);
        told("a key in the path that differs from the header gets 400", self.two_keys(9).await);
        told("PUT of a refund gives back, once", self.refunds(17).await);
        told("GET of an unseen refund gets 404 {\"status\": \"unseen\"}", self.no_refund(18).await);
        let at = |moment: u64| {
            move |signed: Signed<'_>, secrets: &[String]| Some(signature(secrets, moment, signed))
        };
        told("no signature gets 401", self.rejects(10, |_, _| None).await);
        told("a signature of an hour ago gets 401", self.rejects(11, at(self.run - 3600)).await);
        told("a signature in an hour gets 401", self.rejects(12, at(self.run + 3600)).await);
        let now = self.run;
        let other_body = move |signed: Signed<'_>, secrets: &[String]| {
            Some(signature(secrets, now, Signed { body: b"{}", ..signed }))
        };
        told("a signature of another body gets 401", self.rejects(13, other_body).await);
        let other_key = move |signed: Signed<'_>, secrets: &[String]| {
            Some(signature(secrets, now, Signed { key: "other", ..signed }))
        };
        told("a signature of another key gets 401", self.rejects(14, other_key).await);
        let other_method = move |signed: Signed<'_>, secrets: &[String]| {
            Some(signature(secrets, now, Signed { method: "GET", ..signed }))
        };
        told("a signature of another method gets 401", self.rejects(15, other_method).await);
        let other_secret = move |signed: Signed<'_>, _: &[String]| {
            Some(signature(&["this is not the secret".to_owned()], now, signed))
        };
        told("a signature with another secret gets 401", self.rejects(16, other_secret).await);
        failed
    }

    fn charge(&self, case: u64) -> Charge {
        Charge {
            key: format!("c0ffee000000.0-{}{case:02}-1", self.run),
            order: OrderId(self.run * 100 + case),
            attempt: 1,
            unanswered: 0,
            amount: AMOUNT,
            trace: TraceId::NONE,
            look_up_first: false,
            may_charge: true,
        }
    }

    async fn put(&self, charge: &Charge) -> Result<Said, String> {
        self.send(Method::PUT, charge, charge_body(charge)).await
    }

    async fn send(&self, method: Method, charge: &Charge, body: Bytes) -> Result<Said, String> {
        let ask = Ask { method, resource: Resource::Payments, key: &charge.key, body };
        self.gateway.ask(ask).await
    }

    /// Charges, and returns an answer that the contract knows.
    async fn decided(&self, charge: &Charge) -> Result<Answer, String> {
        let said = self.put(charge).await?;
        match read(&Method::PUT, &said, AMOUNT) {
            answer @ (Answer::Succeeded | Answer::Declined(_) | Answer::Pending { .. }) => {
                Ok(answer)
            }
            other => Err(format!("{} means {other:?}", shown(&said))),
        }
    }

    async fn charges(&self, case: u64) -> Case {
        self.decided(&self.charge(case)).await.map(|_| ())
    }

    async fn repeats(&self, case: u64) -> Case {
        let charge = self.charge(case);
        self.decided(&charge).await?;
        let first = self.put(&charge).await?;
        let again = self.put(&charge).await?;
        same(&first, &again)
    }

    async fn looks_up(&self, case: u64) -> Case {
        let charge = self.charge(case);
        let put = self.decided(&charge).await?;
        let said = self.send(Method::GET, &charge, Bytes::new()).await?;
        match read(&Method::GET, &said, AMOUNT) {
            got if kind(&got) == kind(&put) => Ok(()),
            got => Err(format!("PUT said {put:?}, GET says {got:?}")),
        }
    }

    async fn refuses_change(&self, case: u64) -> Case {
        let charge = self.charge(case);
        self.decided(&charge).await?;
        let other = charge_body(&Charge { amount: Money(AMOUNT.0 + 1), ..charge.clone() });
        expect(&self.send(Method::PUT, &charge, other).await?, &[422])
    }

    async fn unseen(&self, case: u64) -> Case {
        let said = self.send(Method::GET, &self.charge(case), Bytes::new()).await?;
        match read(&Method::GET, &said, AMOUNT) {
            Answer::Unseen => Ok(()),
            other => Err(format!("{} means {other:?}", shown(&said))),
        }
    }

    async fn fences(&self, case: u64) -> Case {
        let charge = self.charge(case);
        let said = self.send(Method::DELETE, &charge, Bytes::new()).await?;
        expect(&said, &[200])?;
        match self.decided(&charge).await? {
            Answer::Declined(_) => Ok(()),
            other => Err(format!("a charge that came later means {other:?}")),
        }
    }

    async fn keeps_charge(&self, case: u64) -> Case {
        let charge = self.charge(case);
        let before = self.decided(&charge).await?;
        let said = self.send(Method::DELETE, &charge, Bytes::new()).await?;
        let answer = read(&Method::DELETE, &said, AMOUNT);
        match (&before, &answer) {
            (Answer::Succeeded, Answer::Succeeded) | (_, Answer::Declined(_)) => Ok(()),
            (Answer::Pending { .. }, Answer::Pending { .. } | Answer::Succeeded) => Ok(()),
            _ => Err(format!("it was {before:?}, and DELETE says {answer:?}")),
        }
    }

    async fn at_once(&self, case: u64) -> Case {
        let charge = self.charge(case);
        let said = join_all((0..AT_ONCE).map(|_| self.put(&charge))).await;
        let said: Vec<Said> = said.into_iter().collect::<Result<_, _>>()?;
        // A service may refuse those that come while one is under way, but then only with a wait.
        let answers: Vec<Answer> =
            said.iter().map(|said| read(&Method::PUT, said, AMOUNT)).collect();
        let decided: Vec<_> =
            answers.iter().filter(|answer| !matches!(answer, Answer::Busy { .. })).collect();
        match decided.windows(2).all(|pair| kind(pair[0]) == kind(pair[1])) && !decided.is_empty() {
            true => Ok(()),
            false => Err(format!("the answers are {answers:?}")),
        }
    }

    fn refund(&self, case: u64) -> RefundCall {
        let payment = format!("c0ffee000000.0-{}{case:02}", self.run);
        RefundCall {
            key: format!("{payment}-r1"),
            payment,
            refund: RefundId(1),
            order: self.charge(case).order,
            unanswered: 0,
            amount: AMOUNT,
            trace: TraceId::NONE,
            look_up_first: false,
            may_refund: true,
        }
    }

    async fn ask_refund(&self, method: Method, refund: &RefundCall) -> Result<Said, String> {
        let body = if method == Method::PUT { refund_body(refund) } else { Bytes::new() };
        let ask = Ask { method, resource: Resource::Refunds, key: &refund.key, body };
        self.gateway.ask(ask).await
    }

    async fn refunds(&self, case: u64) -> Case {
        self.decided(&self.charge(case)).await?;
        let refund = self.refund(case);
        let first = self.ask_refund(Method::PUT, &refund).await?;
        match read(&Method::PUT, &first, AMOUNT) {
            Answer::Succeeded | Answer::Declined(_) | Answer::Pending { .. } => {}
            other => return Err(format!("{} means {other:?}", shown(&first))),
        }
        same(&first, &self.ask_refund(Method::PUT, &refund).await?)
    }

    async fn no_refund(&self, case: u64) -> Case {
        let said = self.ask_refund(Method::GET, &self.refund(case)).await?;
        match read(&Method::GET, &said, AMOUNT) {
            Answer::Unseen => Ok(()),
            other => Err(format!("{} means {other:?}", shown(&said))),
        }
    }

    async fn two_keys(&self, case: u64) -> Case {
        let charge = self.charge(case);
        let path_key = format!("{}0", charge.key);
        let ask = Ask {
            method: Method::PUT,
            resource: Resource::Payments,
            key: &charge.key,
            body: charge_body(&charge),
        };
        let path = self.gateway.path(Resource::Payments, &path_key);
        let signed = Signed { method: "PUT", path: &path, key: &charge.key, body: &ask.body };
        let signature = self.gateway.signature(signed);
        let said = self.gateway.ask_at(&path, ask.clone(), Some(&signature)).await?;
        expect(&said, &[400, 422])
    }

    async fn rejects(
        &self,
        case: u64,
        sign: impl Fn(Signed<'_>, &[String]) -> Option<String>,
    ) -> Case {
        let charge = self.charge(case);
        let path = self.gateway.path(Resource::Payments, &charge.key);
        let body = charge_body(&charge);
        let signed = Signed { method: "PUT", path: &path, key: &charge.key, body: &body };
        let signature = sign(signed, &self.secrets);
        let ask = Ask {
            method: Method::PUT,
            resource: Resource::Payments,
            key: &charge.key,
            body: body.clone(),
        };
        let said = self.gateway.ask_at(&path, ask, signature.as_deref()).await?;
        expect(&said, &[401])?;
        // Nothing may have happened under the key.
        self.unseen(case).await
    }
}

/// The kind of an answer.
fn kind(answer: &Answer) -> std::mem::Discriminant<Answer> {
    std::mem::discriminant(answer)
}

fn shown(said: &Said) -> String {
    let body = String::from_utf8_lossy(&said.body);
    format!("{} {}", said.status.as_u16(), body.chars().take(200).collect::<String>())
}

fn same(first: &Said, again: &Said) -> Case {
    let json = |said: &Said| serde_json::from_slice::<serde_json::Value>(&said.body).ok();
    match first.status == again.status && json(first) == json(again) {
        true => Ok(()),
        false => Err(format!("first {}, then {}", shown(first), shown(again))),
    }
}

fn expect(said: &Said, wanted: &[u16]) -> Case {
    match wanted.contains(&said.status.as_u16()) {
        true => Ok(()),
        false => Err(format!("{}, expected {wanted:?}", shown(said))),
    }
}
