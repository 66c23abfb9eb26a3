// Takes the place of testharnessreport.js: hands results to the host, and draws none of them.

(() => {
  setup({ output: false, timeout_multiplier: TIMEOUT_MULTIPLIER });

  // A frame, or a window that a test opened, has none: it tells its parent or opener.
  const report = self.miniBrowserReport;
  if (report === undefined) return;

  const { stringify } = JSON;
  const subtest = ({ name, status, message, stack }) => ({ name, status, message, stack });

  add_result_callback((test) => report("subtest", stringify(subtest(test))));
  add_completion_callback((tests, { status, message, stack }) => {
    report("complete", stringify({ status, message, stack, subtests: tests.map(subtest) }));
  });
})();
