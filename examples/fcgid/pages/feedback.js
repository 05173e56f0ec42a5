// The page's side. The session token is in a cookie that no script can read; what the page holds is the frontend token.
const frontend = document.querySelector('meta[name="frontend-token"]');
const form = document.getElementById('feedback');
const outcome = document.getElementById('outcome');

async function api(action, fields) {
  const response = await fetch('/api/' + action, {
    method: 'POST',
    headers: { 'X-Frontend-Token': frontend.content },
    body: new URLSearchParams(fields),
  });
  // 503 says that nobody knows; the cookie is still good.
  if (response.status === 503) return { error: 'try again in a moment' };
  return response.json();
}

async function another() {
  const reply = await api('captcha', {});
  outcome.value = reply.error ?? '';
  if (!reply.captcha) return;
  form.elements.captcha.value = reply.captcha;
  document.getElementById('picture').src = '/captcha?c=' + reply.captcha;
}

document.getElementById('another').addEventListener('click', another);
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const reply = await api('feedback', new FormData(form));
  // A captcha is spent by the first attempt, right or wrong.
  await another();
  outcome.value = reply.error ?? reply.outcome;
  if (reply.name) document.getElementById('name').textContent = reply.name;
});
