//! Events over a WebSocket, with the channels and names of older clients.
//!
//! A client sends `{"subscribe": "private-orders.7"}` and learns how the orders of user 7 end. It
//! gets no earlier events; a client that must not miss any reads the stream of events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::wire::{EventType, SocketFrame, SocketRequest};
use engine::actor::Actor;
use engine::ids::UserId;
use futures_util::{SinkExt, StreamExt};
use hyper::header::{HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT};
use parking_lot::Mutex;
use raft_node::tls::stream::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Subscription;
use super::app::{self, SocketApp};
use super::feed::Ended;
use super::render::{self, Rendered};
use crate::auth::{Gate, Principal};
use crate::bounds::ID_MAX;
use crate::metrics::{Metrics, Transport};
use crate::settings::Settings;

/// The header with the answer to the client's key.
pub(crate) const ACCEPT: HeaderName = SEC_WEBSOCKET_ACCEPT;

/// The start of a channel's name; the rest is a user id.
pub(crate) const CHANNEL: &str = "private-orders.";
/// The most channels of one connection.
pub(crate) const CHANNELS_MAX: usize = 100;
/// The longest message of a client, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// The connection is closed after this many invalid messages.
pub(crate) const INVALID_MAX: u32 = 10;

/// Bytes that are buffered before a write waits for the socket.
const WRITE_BYTES: usize = 8 << 10;
/// Heartbeats that a client may leave unanswered.
const UNANSWERED_HEARTBEATS_MAX: u32 = 3;
/// How long the client has to answer a close.
const CLOSE: Duration = Duration::from_secs(1);

/// A subscription, handed from the handler to the connection that becomes a WebSocket.
#[derive(Clone)]
pub(crate) struct Upgrade(Arc<Mutex<Option<(Subscription, Principal)>>>);

impl Upgrade {
    /// An upgrade with the client's subscription, for as long as its credentials count.
    pub(crate) fn new(subscription: Subscription, principal: Principal) -> Upgrade {
        Upgrade(Arc::new(Mutex::new(Some((subscription, principal)))))
    }
}

/// Whether the bytes are a handshake key: 16 bytes in base64.
pub(crate) fn is_key(key: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(plain)
}

/// The answer to a key.
pub(crate) fn accept(key: &HeaderValue) -> HeaderValue {
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base64")
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client is gone.
    Gone,
    /// The client did not read in time.
    Slow,
    /// The server closes it, with a reason.
    Close(CloseCode, &'static str),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        match error {
            Error::Capacity(_) => End::Close(CloseCode::Size, "the message is too long"),
            Error::Utf8(_) => End::Close(CloseCode::Invalid, "the message is not UTF-8"),
            Error::Protocol(_) => {
                End::Close(CloseCode::Protocol, "the frame is not a WebSocket frame")
            }
            _ => End::Gone,
        }
    }
}

/// The parts of the server that a WebSocket uses.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) metrics: &'a Metrics,
    pub(crate) gate: &'a Gate,
    /// Becomes true when the server stops.
    pub(crate) stopped: &'a watch::Receiver<bool>,
}

/// Serves one WebSocket to its end.
pub(crate) async fn run(context: Context<'_>, socket: Stream, read: &Bytes, upgrade: Upgrade) {
    let Some((subscription, principal)) = upgrade.0.lock().take() else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * WRITE_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let (role, read) = (Role::Server, read.to_vec());
    let socket = WebSocketStream::from_partially_read(socket, read, role, Some(config)).await;
    let (write_timeout, bound) = (context.settings.write_timeout, principal.user);
    let is_signed = principal.actor == Actor::Nobody && !context.settings.socket_apps.is_empty();
    let socket_id = is_signed.then(app::socket_id);
    let mut session = Session {
        socket,
        channels: BTreeSet::new(),
        subscription,
        write_timeout,
        invalid: 0,
        bound,
        socket_id,
    };
    let end = session.serve(context, principal).await;
    tracing::debug!(?end, "a WebSocket ends");
    match end {
        End::Gone => {}
        End::Slow => context.metrics.cut_off(Transport::Websocket),
        End::Close(code, reason) => session.close(code, reason).await,
    }
}

struct Session {
    socket: WebSocketStream<Stream>,
    channels: BTreeSet<UserId>,
    subscription: Subscription,
    write_timeout: Duration,
    invalid: u32,
    /// The only user whose channel the client may have.
    bound: Option<UserId>,
    /// Where an application has to sign each channel: what it signs it for.
    socket_id: Option<String>,
}

impl Session {
    async fn serve(&mut self, context: Context<'_>, principal: Principal) -> End {
        let is_signed = self.socket_id.is_some();
        let mut shut_out = std::pin::pin!(async move {
            match is_signed {
                true => std::future::pending().await,
                false => context.gate.clone().ended(principal).await,
            }
        });
        if let Err(end) = self.greet().await {
            return end;
        }
        let mut stopped = context.stopped.clone();
        let stopping = async { drop(stopped.wait_for(|stop| *stop).await) };
        let mut stopping = std::pin::pin!(stopping);
        let period = context.settings.event_heartbeat;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        loop {
            let done = tokio::select! {
                () = &mut stopping => {
                    Err(End::Close(CloseCode::Away, "the server is stopping"))
                }
                () = &mut shut_out => {
                    Err(End::Close(CloseCode::Policy, "the credentials no longer count"))
                }
                _ = heartbeat.tick() => {
                    unanswered += 1;
                    if unanswered > UNANSWERED_HEARTBEATS_MAX {
                        Err(End::Gone)
                    } else {
                        self.send(Message::Ping(Bytes::new())).await
                    }
                }
                message = self.socket.next() => {
                    unanswered = 0;
                    match message {
                        Some(Ok(message)) => {
                            self.receive(message, &context.settings.socket_apps).await
                        }
                        Some(Err(error)) => Err(error.into()),
                        None => Err(End::Gone),
                    }
                }
                waited = self.subscription.wait() => match waited {
                    Ok(()) => self.send_events(context).await,
                    Err(Ended::Gone) => Err(End::Close(CloseCode::Again, "the next events are no longer stored")),
                    Err(Ended::Failed(error)) => {
                        tracing::error!(%error, "a WebSocket ends");
                        Err(End::Close(CloseCode::Error, "internal error"))
                    }
                },
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Sends the events of the current page that the client subscribed to.
    async fn send_events(&mut self, context: Context<'_>) -> Result<(), End> {
        while let Some(rendered) = self.subscription.pop() {
            if let Some(frame) = frame(&self.channels, rendered) {
                self.send_frame(&frame).await?;
                context.metrics.events_sent(Transport::Websocket, 1);
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Tells the client its socket id, if it needs one.
    async fn greet(&mut self) -> Result<(), End> {
        let Some(id) = self.socket_id.clone() else { return Ok(()) };
        let (event, socket_id) = ("connected".to_owned(), Some(id));
        self.send_frame(&SocketFrame { event, socket_id, ..SocketFrame::default() }).await
    }

    async fn receive(&mut self, message: Message, apps: &[SocketApp]) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                return Err(End::Close(CloseCode::Unsupported, "messages are JSON text"));
            }
            // The library answers pings.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
            Message::Close(_) => {
                let _ = timeout(CLOSE, self.socket.flush()).await;
                return Err(End::Gone);
            }
        };
        let frame = match self.handle_message(&text, apps) {
            Ok(frame) => frame,
            Err(message) => {
                self.invalid += 1;
                if self.invalid >= INVALID_MAX {
                    return Err(End::Close(CloseCode::Policy, "too many invalid"));
                }
                let (event, message) = ("error".to_owned(), Some(message.to_owned()));
                SocketFrame { event, message, ..SocketFrame::default() }
            }
        };
        self.send_frame(&frame).await
    }

    /// Handles a message of the client.
    fn handle_message(
        &mut self,
        text: &str,
        apps: &[SocketApp],
    ) -> Result<SocketFrame, &'static str> {
        const SHAPES: &str = "A message is {\"subscribe\": channel}, {\"unsubscribe\": channel} or \
                              {\"ping\": number}.";
        const NO_CHANNEL: &str = "A channel is private-orders. and the id of a user.";
        const NOT_SIGNED: &str =
            "The channel needs `auth`: <key>:<HMAC-SHA256 of socket_id:channel>.";
        let request: SocketRequest = serde_json::from_str(text).map_err(|_| SHAPES)?;
        let auth = request.auth.clone().unwrap_or_default();
        let (event, channel, ping) = match request {
            SocketRequest { subscribe: Some(channel), unsubscribe: None, ping: None, .. } => {
                let user = user_of(&channel).ok_or(NO_CHANNEL)?;
                let signed = |id: &String| apps.iter().any(|app| app.signed(&auth, id, &channel));
                if !self.socket_id.as_ref().is_none_or(signed) {
                    return Err(NOT_SIGNED);
                }
                if self.bound.is_some_and(|bound| bound != user) {
                    return Err("The token is for another user.");
                }
                if self.channels.len() >= CHANNELS_MAX && !self.channels.contains(&user) {
                    return Err("A connection has at most 100 channels.");
                }
                self.channels.insert(user);
                ("subscribed", Some(channel), None)
            }
            SocketRequest { subscribe: None, unsubscribe: Some(channel), ping: None, .. } => {
                self.channels.remove(&user_of(&channel).ok_or(NO_CHANNEL)?);
                ("unsubscribed", Some(channel), None)
            }
            SocketRequest { subscribe: None, unsubscribe: None, ping: Some(ping), .. } => {
                ("pong", None, Some(ping))
            }
            _ => return Err(SHAPES),
        };
        Ok(SocketFrame { event: event.to_owned(), channel, ping, ..SocketFrame::default() })
    }

    async fn send_frame(&mut self, frame: &SocketFrame) -> Result<(), End> {
        let text = serde_json::to_string(frame).expect("keys are strings");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.write_timeout, self.socket.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(End::Slow),
        }
    }

    /// Closes the connection with a reason, and waits briefly for the client's answer.
    async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: reason.into() };
        let closing = async {
            let _ = self.socket.close(Some(frame)).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ = timeout(CLOSE, closing).await;
    }
}

/// The user of a channel.
fn user_of(channel: &str) -> Option<UserId> {
    let digits = channel.strip_prefix(CHANNEL)?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let id = digits.parse().ok().filter(|id| plain && (1..=ID_MAX).contains(id))?;
    Some(UserId(id))
}

/// The frame for an event, if a channel gets it.
fn frame(channels: &BTreeSet<UserId>, rendered: &Rendered) -> Option<SocketFrame> {
    let ends = [EventType::OrderPaid, EventType::OrderFailed, EventType::OrderCancelled];
    let user = rendered.event.kind.user().filter(|user| channels.contains(user))?;
    let event = ends.contains(&rendered.kind).then(|| rendered.kind.name()).flatten()?;
    Some(SocketFrame {
        event: event.to_owned(),
        channel: Some(format!("{CHANNEL}{}", user.0)),
        data: Some(render::view(&rendered.event)),
        ..SocketFrame::default()
    })
}

#[cfg(test)]
mod tests {
    use engine::event::OrderChange;

    use super::super::render::tests;
    use super::*;

    #[test]
    fn channels_belong_to_users() {
        assert_eq!(user_of("private-orders.7"), Some(UserId(7)));
        for text in ["", "private-orders.", "private-orders.0", "private-orders.07", "orders.7"] {
            assert_eq!(user_of(text), None, "{text}");
        }
        for text in ["private-orders.-1", "private-orders.7 ", "private-orders.9007199254740992"] {
            assert_eq!(user_of(text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_16_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in
            ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ===", "x".repeat(24).as_str()]
        {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
        let answer = accept(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_channel_gets_only_events_of_ended_orders() {
        let channels = BTreeSet::from([UserId(7)]);
        let names = |channels: &BTreeSet<UserId>| -> Vec<String> {
            let all = tests::all().into_iter().map(|kind| Rendered::new(tests::event(0, kind)));
            all.filter_map(|rendered| frame(channels, &rendered)).map(|frame| frame.event).collect()
        };
        assert_eq!(names(&channels), ["OrderPaid", "OrderFailed", "OrderCancelled"]);
        assert!(names(&BTreeSet::from([UserId(8)])).is_empty());
        let change = OrderChange::Failed { reason: "declined".into() };
        let frame =
            frame(&channels, &Rendered::new(tests::event(0, tests::order(change)))).unwrap();
        let data = frame.data.unwrap();
        assert_eq!(frame.channel.as_deref(), Some("private-orders.7"));
        assert_eq!((data.order_id, data.reason.as_deref()), (Some(9), Some("declined")));
        assert_eq!(data.total_amount.as_deref(), Some("1999.98"));
    }
}
