//! The samples in our own words: the same surroundings, the same to be observed.

pub(crate) const STASH_IDL: &str = "interface ServiceWorkerGlobalScope {
    undefined stashPort(USVString key, MessagePort port);
    Promise<sequence<MessagePort>> getStashedPorts(USVString key);
};
interface StashedMessageEvent : MessageEvent { readonly attribute USVString key; };";

pub(crate) const CROSS_ORIGIN_CONNECT_IDL: &str = "interface CrossOriginConnectEvent : Event {
    readonly attribute USVString origin;
    readonly attribute USVString targetUrl;
    Promise<MessagePort?> acceptConnection(any value);
};";

pub(crate) const STASHING_CLIENT: &str = "
(async () => {
  const line = await navigator.connect('https://example.com/services/push');
  line.postMessage({ register: 'apikey' });
  stashPort('pushService', line);
})();
onmessage = ({ key }) => key === 'pushService';
";

pub(crate) const STASHING_SERVICE: &str = "
oncrossoriginconnect = async (event) => {
  const line = await event.acceptConnection(event.targetUrl === 'https://example.com/service/push');
  stashPort('pushClients', line);
};
onmessage = ({ key, source }) => {
  if (key === 'pushClients') source.postMessage('registered');
};
onpush = (event) => event.waitUntil((async () => {
  for (const line of await getStashedPorts('pushClients')) line.postMessage('pushmessage');
})());
";

pub(crate) const NAVIGATOR_IDL: &str =
    "interface NavigatorConnect { Promise<MessagePort> connect(USVString url); };";

pub(crate) const CONNECT_EVENT_IDL: &str =
    "interface ServiceWorkerGlobalScope { attribute EventHandler onconnect; };
interface ConnectEvent {
  readonly attribute USVString targetURL;
  readonly attribute USVString origin;
  undefined acceptConnection(any value);
};";

pub(crate) const PORTS_IDL: &str =
    "interface ServiceWorkerGlobalScope { readonly attribute StashedPortCollection ports; };
interface StashedPortCollection : EventTarget {
  StashedMessagePort add(DOMString name, MessagePort port);
  Promise<sequence<StashedMessagePort>> match(DOMString name);
  attribute EventHandler onmessage;
};
interface StashedMessagePort : MessagePort { readonly attribute DOMString name; };";

pub(crate) const PAGE_CLIENT: &str = "
(async () => {
  const line = await navigator.connect('https://example.com/services/echo');
  line.postMessage('hello');
  line.onmessage = () => {};
})();
";

pub(crate) const FLEETING_SERVICE: &str = "
onconnect = (asked) => {
  if (asked.targetURL !== 'https://example.com/services/echo') return;
  const { port1, port2 } = new MessageChannel();
  asked.acceptConnection(port2);
  // Never started: it hears nothing.
  port1.addEventListener('message', () => {});
  port1.postMessage('You are connected!');
};
";

pub(crate) const ECHO_SERVICE: &str = "
onconnect = (asked) => {
  if (asked.targetURL !== 'https://example.com/services/echo') return;
  const { port1, port2 } = new MessageChannel();
  asked.acceptConnection(port2);
  ports.add('echoClient', port1).postMessage('You are connected!');
};
ports.onmessage = ({ source, data }) => {
  if (source.name === 'echoClient') source.postMessage(data);
};
onpush = (event) => event.waitUntil((async () => {
  for (const line of await ports.match('pushClient')) line.postMessage('received push');
})());
";

pub(crate) const LOGGING_CLIENT: &str = "
oninstall = (event) => event.waitUntil((async () => {
  ports.add('analytics', await navigator.connect('https://example.com/services/analytics'));
})());
onfetch = async () => {
  const [line] = await ports.match('analytics');
  line.postMessage('log fetch');
};
";

pub(crate) const SILENT_PAIR: &str = "
navigator.connect('https://example.com/services/foobar').then((line) => {});

onconnect = (asked) => {};
";

pub(crate) const COLLECTING_CLIENT: &str = "
(async () => ports.add('foobar', await navigator.connect('https://example.com/services/foobar')))();
ports.addEventListener('message', () => {});
";

pub(crate) const FONT_SERVICE: &str = "
oninstall = (event) => event.handleFallThroughRequests(['/resources', '/font']);
onfetch = (event) => { if (event.isFallThrough) return; };
";

pub(crate) const INSTALL_HEADERS: &str = "service-worker-SCOPE: scopeURL
Service-worker-script: scriptURL
";

pub(crate) const IMAGE_RESPONSE: &str = "GET https://api.thirdparty.org/share/assets/pak.png
status:200 OK
content-length:3852
content-type:image/png
service-worker-scope: /share/
service-worker-script: /common/share/sw.js
";

pub(crate) const SCRIPT_RESPONSE: &str = "GET https://api.thirdparty.org/common/share/sw.js
status:200 OK
content-encoding:gzip
content-type:text/javascript; charset=utf-8
service-worker-allowed: /share/
";

pub(crate) const REGISTER: &str =
    "navigator.serviceworker.register('/common/share/sw.js', { scope: '/share/' });";

pub(crate) const NAVIGATOR_REQUEST_IDL: &str =
    "interface Navigator { Promise<MessagePort> connect(USVString url, any request); };";

pub(crate) const REQUESTING_CLIENT: &str = "
navigator.connect('//example.com/', { apiKey: '...', cred: '....' }).then(
  (line) => { line.postMessage('Hello!'); },
  (why) => { console.log('Failed to connect example.com because: ', why); });
";

pub(crate) const FOREIGN_CLIENT_IDL: &str = "interface ForeignServiceWorkerClient {
  readonly attribute USVString url;
  readonly attribute MessagePort port;
};
interface ConnectionEvent : ExtendableEvent {
  readonly attribute ForeignServiceWorkerClient client;
  readonly attribute any request;
};";

pub(crate) const BROKEN_SERVICE: &str = "
onconnect = function(e) {
  e.waitUntil(new Promise(resolve, reject) {
    var req = new XMLHttpRequest();
    req.open('GET', myBuildQuery({ pageURL: e.client.url, apiKey: e.request.apiKey, credentials: e.request.cred }));
    req.onload = function() {
      if (req.status != 200) return reject(Error('no'));
      resolve();
      e.client.port.postMessage({ type: 'connected', payload: req.response });
    };
    req.onerror = function() { reject(Error('no')); };
    req.send();
  });
};
";

pub(crate) const INLINE_CONNECT: &str =
    "`navigator.connect(\"https://example.com/services/v1\")` is accepted or not";
pub(crate) const INLINE_LOCAL_FETCH: &str =
    "A `local_fetch()` of `https://example.com/services/v1` asks a worker";
pub(crate) const INLINE_UNIVERSAL: &str = "It is enabled for a `Request` or by a scope";
