// Made by `make page` of analyze/report/app, with Preact (MIT): 8240bbeb5d485cbd52f579ea00c731402a76ee5620d34f0fd887d38af98be2d3
"use strict";
(() => {
  // node_modules/preact/dist/preact.mjs
  var n, t, r, u, i, f, o, e, l, c, a, s, h = /* @__PURE__ */ Symbol.for("pv"), p = {}, y = [], v = /^m(i|n|o|s|text|space)$/, w = Array.isArray, d = y.slice, _ = Object.assign;
  function g(n2) {
    n2 && n2.parentNode && n2.remove();
  }
  function m(r3, u3, i3, f4, o4) {
    var e3 = { type: r3, props: u3, key: i3, ref: f4, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: h, __v: o4 || ++t, __i: -1, __u: 0 };
    return !o4 && n.vnode && n.vnode(e3), e3;
  }
  function $(n2) {
    return n2.children;
  }
  function x(n2, t3) {
    this.props = n2, this.context = t3, this.__g = 0;
  }
  function S(n2, t3) {
    if (t3 == null) return n2.__ && S(n2.__, n2.__i + 1);
    for (var r3; t3 < n2.__k.length; t3++) if ((r3 = n2.__k[t3]) && r3.__e) return r3.__e;
    return typeof n2.type != "function" || n2.props.__P ? null : S(n2);
  }
  function C(t3) {
    var r3, u3 = t3.__v, i3 = u3.__e, f4 = [], o4 = [], e3 = t3.__P;
    e3 && ((r3 = _({ constructor: h }, u3)).__v = u3.__v + 1, n.vnode && n.vnode(r3), z(e3, r3, u3, t3.__n, e3.namespaceURI, 32 & u3.__u ? [i3] : null, f4, i3 || S(u3), 32 & u3.__u, o4), r3.__v = u3.__v, r3.__.__k[r3.__i] = r3, E(f4, r3, o4), u3.__ = u3.__e = null, r3.__e != i3 && j(r3));
  }
  function j(n2) {
    if ((n2 = n2.__) && n2.__c && !n2.props.__P) return n2.__e = null, n2.__k.some(function(t3) {
      return t3 && (n2.__e = t3.__e);
    }), j(n2);
  }
  function L(t3) {
    (8 & t3.__g || (t3.__g |= 8, u.push(t3), f++)) && i == n.debounceRendering || ((i = n.debounceRendering) || queueMicrotask)(H);
  }
  function H() {
    try {
      for (var n2, t3 = 1; u.length; ) u.length > t3 && u.sort(o), n2 = u.shift(), t3 = u.length, 8 & n2.__g && C(n2);
    } finally {
      (f = u.length) && (i || queueMicrotask)(H);
    }
  }
  function I(n2, t3, r3, u3, i3, f4, o4, e3, l3, c3, a4) {
    var s3, h3, v3, w3, d3, _3, g3 = u3.__k || y, k2 = t3.length;
    for (l3 = q(r3, t3, g3, l3, k2), s3 = 0; s3 < k2; s3++) (v3 = r3.__k[s3]) != null && (h3 = ~v3.__i && g3[v3.__i] || p, v3.__i = s3, _3 = z(n2, v3, h3, i3, f4, o4, e3, l3, c3, a4), w3 = v3.__e, (h3.ref != v3.ref || 8 & h3.__u) && (h3.ref && G(h3.ref, null, v3, h3), v3.ref && a4.push(v3.ref, v3.__c || w3, v3)), d3 = d3 || w3, 4 & v3.__u ? (l3 = A(v3, l3, n2, !h3.__v), h3.__e && (h3.__e = null)) : typeof v3.type == "function" && _3 !== void 0 ? l3 = _3 : w3 && (l3 = w3.nextSibling), v3.__u &= -21);
    return r3.__e = d3, l3;
  }
  function q(n2, t3, r3, u3, i3) {
    var f4, o4, e3, l3, c3, a4, s3, p3, y3, v3 = r3.length, d3 = v3, _3 = 0, g3 = 0, k2 = n2.__k = Array(i3);
    for (f4 = 0; f4 < i3; f4++) (o4 = t3[f4]) != null && typeof o4 != "boolean" && typeof o4 != "function" ? (typeof o4 != "object" || o4.constructor === String ? o4 = k2[f4] = m(null, o4) : w(o4) ? o4 = k2[f4] = m($, { children: o4 }) : o4.constructor === h && o4.__b ? o4 = k2[f4] = m(o4.type, o4.props, o4.key, o4.ref, o4.__v) : k2[f4] = o4, l3 = f4 + _3, o4.__ = n2, o4.__b = n2.__b + 1, e3 = null, ~(c3 = o4.__i = P(o4, r3, l3, d3)) && (d3--, (e3 = r3[c3]) && (e3.__u |= 2)), e3 && e3.__v ? (o4.__u |= 16, c3 == l3 - 1 ? _3-- : c3 == l3 + 1 ? _3++ : c3 != l3 && (c3 > l3 ? _3-- : _3++, g3 = 1)) : (~c3 || (i3 > v3 ? _3-- : i3 < v3 && _3++), typeof o4.type != "function" && (o4.__u |= 4))) : k2[f4] = null;
    if (g3) {
      for (a4 = [], s3 = [], f4 = 0; f4 < i3; f4++) if ((o4 = k2[f4]) && 16 & o4.__u) {
        for (_3 = 0, p3 = a4.length; _3 < p3; ) a4[y3 = _3 + p3 >> 1] < o4.__i ? _3 = y3 + 1 : p3 = y3;
        a4[_3] = o4.__i, s3[f4] = _3 + 1;
      }
      for (_3 = a4.length; f4--; ) s3[f4] && (s3[f4] == _3 ? _3-- : k2[f4].__u |= 4);
    }
    if (d3) for (f4 = 0; f4 < v3; f4++) !(e3 = r3[f4]) || 2 & e3.__u || (e3.__e == u3 && (u3 = S(e3)), J(e3, e3));
    return u3;
  }
  function A(n2, t3, r3, u3) {
    var i3, f4, o4, e3;
    if (typeof n2.type == "function") {
      if (n2.props.__P) return t3;
      if (i3 = n2.__k) for (f4 = 0; f4 < i3.length; f4++) i3[f4] && (i3[f4].__ = n2, t3 = A(i3[f4], t3, r3, !1));
      return t3;
    }
    for (t3 && !t3.parentNode && (t3 = S(n2)) && !t3.parentNode && (t3 = null), o4 = n2.__e, e3 = t3; e3 && e3.nodeType == 8; ) e3 = e3.nextSibling;
    for (o4 != e3 && (!u3 && r3.moveBefore && o4.parentNode ? r3.moveBefore(o4, t3) : r3.insertBefore(o4, t3 || null)), t3 = o4; (t3 = t3 && t3.nextSibling) && t3.nodeType == 8 && !t3.data.startsWith("$s"); ) ;
    return t3;
  }
  function P(n2, t3, r3, u3) {
    var i3, f4 = n2.key, o4 = n2.type, e3 = t3[r3], l3 = e3 && !(2 & e3.__u);
    if (e3 === null && f4 == null || l3 && f4 == e3.key && o4 == e3.type) return r3;
    if (u3 > (l3 ? 1 : 0)) {
      for (i3 = r3 - 1; i3 >= 0; i3--) if ((e3 = t3[i3]) && !(2 & e3.__u) && f4 == e3.key && o4 == e3.type) return i3;
      for (i3 = r3 + 1; i3 < t3.length; i3++) if ((e3 = t3[i3]) && !(2 & e3.__u) && f4 == e3.key && o4 == e3.type) return i3;
    }
    return -1;
  }
  function T(n2, t3, r3) {
    r3 == null && (r3 = ""), t3[0] == "-" ? n2.setProperty(t3, r3) : n2[t3] = r3;
  }
  function N(n2, t3, r3, u3, i3) {
    var f4, o4;
    if (t3 == "style") if (typeof r3 == "string") n2.style.cssText = r3;
    else {
      if (typeof u3 == "string" && (n2.style.cssText = u3 = ""), u3) for (t3 in u3) r3 && t3 in r3 || T(n2.style, t3);
      if (r3) for (t3 in r3) u3 && r3[t3] == u3[t3] || T(n2.style, t3, r3[t3]);
    }
    else if (t3[0] == "o" && t3[1] == "n") typeof r3 != "function" && (r3 = null), typeof u3 != "function" && (u3 = null), (n2.__e || (n2.__e = {}))[t3] = r3, r3 && u3 || (o4 = a[t3] || (a[t3] = V(t3)), (n2.__a || (n2.__a = {}))[t3] = c, f4 = t3 != (t3 = t3.replace(l, "$1")), (t3 = t3.slice(2))[0] < "a" && (t3 = t3.toLowerCase()), r3 ? n2.addEventListener(t3, o4, f4) : n2.removeEventListener(t3, o4, f4));
    else {
      if (i3 == "http://www.w3.org/2000/svg") t3 = t3.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
      else if (t3 != "width" && t3 != "height" && t3 != "href" && t3 != "list" && t3 != "form" && t3 != "tabIndex" && t3 != "download" && t3 != "rowSpan" && t3 != "colSpan" && t3 != "role" && t3 != "popover" && t3 in n2) try {
        return void (n2[t3] = r3 ?? "");
      } catch {
      }
      if (typeof r3 == "function") return;
      r3 == null || r3 === !1 && t3[4] != "-" ? n2.removeAttribute(t3) : n2.setAttribute(t3, t3 == "popover" && r3 == 1 ? "" : r3);
    }
  }
  function V(t3) {
    return function(r3) {
      var u3 = this.__e;
      if (u3) {
        if (u3 = u3[t3], r3[e] == null) r3[e] = c++;
        else if (r3[e] < this.__a[t3]) return;
        return u3(n.event ? n.event(r3) : r3);
      }
    };
  }
  function z(t3, r3, u3, i3, f4, o4, e3, l3, c3, a4) {
    var s3, p3, v3, d3, k2, b, m3, M, C3, j2, L2, H2, q2, A2, O, P2, T3, N2, V2 = r3.type;
    if (r3.constructor !== h) return null;
    128 & u3.__u && (c3 = 32 & u3.__u, s3 = u3.__c.__z) && (r3.__u |= c3, p3 = o4 = [], s3.nodeType == 8 ? l3 = B(s3, o4) : o4.push(s3), l3 = o4[0] || l3), (s3 = n.__b) && s3(r3);
    n: if (typeof V2 == "function") {
      v3 = e3.length;
      try {
        if (M = r3.props, C3 = (s3 = V2.prototype) && s3.render, j2 = (s3 = V2.contextType) && i3[s3.__c], L2 = s3 ? j2 ? j2.props.value : s3.__ : i3, (d3 = u3.__c) ? (r3.__c = d3, 2 & d3.__g && (d3.__g |= 1)) : (C3 ? r3.__c = d3 = new V2(M, L2) : (r3.__c = d3 = new x(M, L2), d3.constructor = V2, d3.render = K), j2 && j2.sub(d3), d3.state || (d3.state = {}), d3.__n = i3, d3.__g |= 8, d3.__h = [], d3.__k = []), C3 && (d3.__s || (d3.__s = d3.state), V2.getDerivedStateFromProps && (d3.__s == d3.state && (d3.__s = _({}, d3.__s)), _(d3.__s, V2.getDerivedStateFromProps(M, d3.__s)))), k2 = d3.props, b = d3.state, d3.__v = r3, u3.__c) {
          if (M !== k2 && C3 && !V2.getDerivedStateFromProps && d3.componentWillReceiveProps && d3.componentWillReceiveProps(M, L2), r3.__v == u3.__v && !(8 & d3.__g) || !(4 & d3.__g) && d3.shouldComponentUpdate && d3.shouldComponentUpdate(M, d3.__s, L2) === !1) {
            r3.__v != u3.__v && (d3.props = M, d3.state = d3.__s, d3.__g &= -9), r3.__e = u3.__e, r3.__k = u3.__k, r3.__k.some(function(n2) {
              n2 && (n2.__ = r3);
            }), y.push.apply(d3.__h, d3.__k), d3.__k = [], d3.__h.length && e3.push(d3), l3 = S(u3);
            break n;
          }
          d3.componentWillUpdate && d3.componentWillUpdate(M, d3.__s, L2), C3 && d3.componentDidUpdate && d3.__h.push(function() {
            d3.componentDidUpdate(k2, b, m3);
          });
        } else C3 && !V2.getDerivedStateFromProps && d3.componentWillMount && d3.componentWillMount(), C3 && d3.componentDidMount && d3.__h.push(d3.componentDidMount);
        d3.context = L2, d3.props = M, d3.__P = t3, d3.__g &= -5, H2 = n.__r, q2 = C3 ? 25 : 0;
        do
          d3.__g &= -9, H2 && H2(r3), s3 = d3.render(d3.props, d3.state = d3.__s, d3.context);
        while (8 & d3.__g && ++q2 < 25);
        C3 && (y.push.apply(d3.__h, d3.__k), d3.__k = []), d3.state = d3.__s, d3.getChildContext && (i3 = _({}, i3, d3.getChildContext())), C3 && u3.__c && d3.getSnapshotBeforeUpdate && (m3 = d3.getSnapshotBeforeUpdate(k2, b)), A2 = s3 && s3.type === $ && s3.key == null ? s3.props.children : s3, M.__P && (s3 = l3, f4 = (t3 = M.__P).namespaceURI, c3 = o4 = null, u3.props && u3.props.__P != t3 && (u3.__k.some(function(n2) {
          n2 && J(n2, n2);
        }), u3.__k = null), l3 = u3.__k ? S(u3, 0) : null), l3 = I(t3, w(A2) ? A2 : [A2], r3, u3, i3, f4, o4, e3, l3, c3, a4), M.__P && (r3.__e = null, l3 = s3), r3.__u &= -161, p3 && p3.some(g), d3.__h.length && e3.push(d3), 1 & d3.__g && (d3.__g &= -4);
      } catch (t4) {
        if (e3.length = v3, r3.__v = null, c3 || o4) if (t4 && t4.then) {
          if (r3.__u |= 128 | c3, o4) {
            for (~(T3 = o4.indexOf(l3 || void 0)) || (T3 = o4.length); (N2 = o4[T3 - 1]) && N2.nodeType == 8; ) T3--;
            for (; T3 < o4.length; T3++) if (N2 = o4[T3]) if (o4[T3] = null, O) {
              if (N2 == P2) break;
            } else {
              if (N2.nodeType != 8) break;
              N2.data.startsWith("$s") && (P2 = B(O = N2));
            }
          }
          if (!O) {
            for (; l3 && l3.nodeType == 8 && l3.nextSibling; ) l3 = l3.nextSibling;
            O = l3;
          }
          (s3 = B(O = r3.__c.__z || (r3.__c.__z = O))) ? (r3.__e = O, l3 = s3) : r3.__e = l3, l3 = l3 && l3.nextSibling;
        } else o4 && o4.some(g);
        else r3.__e = u3.__e;
        r3.__k || (r3.__k = u3.__k || []), t4 && t4.then || D(r3), n.__e(t4, r3, u3);
      }
    } else l3 = r3.__e = F(u3.__e, r3, u3, i3, f4, o4, e3, c3, a4, t3);
    return (s3 = n.diffed) && s3(r3), l3;
  }
  function B(n2, t3) {
    if (n2 && n2.nodeType == 8 && n2.data.startsWith("$s")) for (var r3 = 1; n2 = n2.nextSibling; ) {
      if (n2.nodeType == 8) {
        if (n2.data.startsWith("$s")) r3++;
        else if (n2.data.startsWith("/$s") && !--r3) return n2;
      }
      t3 && t3.push(n2);
    }
  }
  function D(n2) {
    n2 && (n2.__c && (n2.__c.__g |= 4), n2.__k && n2.__k.some(D));
  }
  function E(t3, r3, u3) {
    for (var i3 = 0; i3 < u3.length; ) G(u3[i3++], u3[i3++], u3[i3++]);
    n.__c && n.__c(r3, t3), t3.some(function(r4) {
      try {
        t3 = r4.__h, r4.__h = [], t3.some(function(n2) {
          n2.call(r4);
        });
      } catch (t4) {
        n.__e(t4, r4.__v);
      }
    });
  }
  function F(t3, r3, u3, i3, f4, o4, e3, l3, c3, a4) {
    var s3, h3, y3, _3, k2, b, m3, M, $2 = u3.props || p, x2 = r3.props, C3 = r3.type;
    if (C3 == "svg" ? f4 = "http://www.w3.org/2000/svg" : C3 == "math" ? f4 = "http://www.w3.org/1998/Math/MathML" : f4 || (f4 = "http://www.w3.org/1999/xhtml"), o4) {
      for (s3 = 0; s3 < o4.length; s3++) if ((k2 = o4[s3]) && (C3 ? k2.localName == C3 : k2.nodeType == 3)) {
        t3 = k2, o4[s3] = null;
        break;
      }
    }
    if (!t3) {
      if (M = a4.ownerDocument || document, !C3) return M.createTextNode(x2);
      t3 = M.createElementNS(f4, C3, x2.is ? x2 : a4), l3 && (n.__m && n.__m(r3, o4), l3 = !1), o4 = null;
    }
    if (C3) {
      if (a4 = C3 == "template" && t3.content || t3, o4 = C3 == "textarea" && x2.defaultValue != null ? null : o4 && d.call(a4.childNodes), !l3 && o4) for ($2 = {}, s3 = 0; s3 < t3.attributes.length; s3++) $2[(k2 = t3.attributes[s3]).name] = k2.value;
      for (s3 in $2) k2 = $2[s3], s3 == "dangerouslySetInnerHTML" ? y3 = k2 : s3 == "children" || s3 in x2 || s3 == "value" && "defaultValue" in x2 || s3 == "checked" && "defaultChecked" in x2 || N(t3, s3, null, k2, f4);
      for (s3 in x2) k2 = x2[s3], s3 == "children" ? _3 = k2 : s3 == "dangerouslySetInnerHTML" ? h3 = k2 : s3 == "value" ? b = k2 : s3 == "checked" ? m3 = k2 : l3 && typeof k2 != "function" || $2[s3] === k2 || N(t3, s3, k2, $2[s3], f4);
      h3 ? (l3 || y3 && (h3.__html == y3.__html || h3.__html == t3.innerHTML) || (t3.innerHTML = h3.__html), r3.__k = []) : (y3 && (t3.textContent = ""), (C3 == "foreignObject" || f4 == "http://www.w3.org/1998/Math/MathML" && v.test(C3)) && (f4 = "http://www.w3.org/1999/xhtml"), I(a4, w(_3) ? _3 : [_3], r3, u3, i3, f4, o4, e3, o4 ? o4[0] : u3.__k && S(u3, 0), l3, c3), o4 && o4.some(g)), l3 && C3 != "textarea" || (s3 = "value", C3 == "progress" && b == null ? t3.removeAttribute(s3) : b == null || b === t3[s3] && (C3 != "progress" || b) || N(t3, s3, b, $2[s3], f4), s3 = "checked", m3 != null && m3 != t3[s3] && N(t3, s3, m3, $2[s3], f4));
    } else $2 === x2 || l3 && t3.data == x2 || (t3.data = x2);
    return t3;
  }
  function G(t3, r3, u3, i3) {
    try {
      typeof t3 == "function" ? r3 ? r3.__x = t3(r3) || 1 : i3 && (i3 = i3.__c || i3.__e) && (r3 = i3.__x) && (i3.__x = null, typeof r3 == "function" ? r3() : t3(null)) : t3.current = r3;
    } catch (t4) {
      n.__e(t4, u3);
    }
  }
  function J(t3, r3, u3) {
    var i3, f4, o4, e3;
    if (n.unmount && n.unmount(t3), !(i3 = t3.ref) || i3.current && i3.current != t3.__e || G(i3, null, r3, t3), i3 = t3.__c) {
      if (i3.componentWillUnmount) try {
        i3.componentWillUnmount();
      } catch (t4) {
        n.__e(t4, r3);
      }
      i3.__P = i3.__n = null;
    }
    if (i3 = t3.__k) for (e3 = 0; e3 < i3.length; e3++) i3[e3] && J(i3[e3], r3, typeof t3.type != "function" || u3 && !t3.props.__P);
    !u3 && (i3 = t3.__c) && (i3 = i3.__z) && (f4 = B(i3, o4 = [])) && (i3 == t3.__e && o4.some(g), g(f4), g(i3)), u3 || g(t3.__e), t3.__e = t3.__c = t3.__ = null;
  }
  function K(n2, t3, r3) {
    return this.constructor(n2, r3);
  }
  function Q(t3, r3) {
    var u3, i3, f4, o4;
    n.__ && n.__(t3, r3), r3.nodeType == 9 && (r3 = r3.documentElement), i3 = (u3 = t3 && 32 & t3.__u) ? null : r3.__k, r3.__k = m($, { children: [t3] }), f4 = [], o4 = [], z(r3, r3.__k, i3 || p, p, r3.namespaceURI, i3 ? null : r3.firstChild ? d.call(r3.childNodes) : null, f4, i3 ? i3.__e : r3.firstChild, u3, o4), E(f4, r3.__k, o4), r3.__k.props.children = null;
  }
  n = { __e: function(n2, t3, r3, u3) {
    for (var i3, o4, e3; t3 = t3.__; ) if ((i3 = t3.__c) && !(1 & i3.__g)) {
      i3.__g |= 4;
      try {
        if ((e3 = (o4 = i3.constructor) && o4.getDerivedStateFromError) && i3.setState(o4.getDerivedStateFromError(n2)), i3.componentDidCatch && (i3.componentDidCatch(n2, u3 || {}), e3 = 1), e3 && 8 & i3.__g) return void (i3.__g |= 2);
      } catch (t4) {
        n2 = t4;
      }
    }
    throw f = 0, n2;
  } }, t = 0, r = function(n2) {
    return n2 != null && n2.constructor === h;
  }, x.prototype.setState = function(n2, t3) {
    var r3 = this.__s;
    r3 && r3 != this.state || (r3 = this.__s = _({}, this.state)), typeof n2 == "function" && (n2 = n2(_({}, r3), this.props)), n2 && (_(r3, n2), this.__v && (t3 && this.__k.push(t3), L(this)));
  }, x.prototype.forceUpdate = function(n2) {
    this.__v && (this.__g |= 4, n2 && this.__h.push(n2), L(this));
  }, x.prototype.render = $, u = [], f = 0, o = function(n2, t3) {
    return n2.__v.__b - t3.__v.__b;
  }, e = /* @__PURE__ */ Symbol(), l = /(PointerCapture)$|Capture$/i, c = 0, a = {}, s = 0;

  // node_modules/preact/hooks/dist/hooks.mjs
  var t2, r2, u2, i2, o2 = Object.is, f2 = 0, c2 = [], e2 = [], a2 = n, v2 = a2.__b, l2 = a2.__r, m2 = a2.diffed, h2 = a2.__c, s2 = a2.unmount, p2 = a2.__;
  function y2(n2, t3) {
    a2.__h && a2.__h(r2, n2, f2 || t3), f2 = 0;
    var u3 = r2.__H || (r2.__H = { __: [], __h: [] });
    return n2 >= u3.__.length && u3.__.push({}), u3.__[n2];
  }
  function d2(n2) {
    return f2 = 1, _2(G2, n2);
  }
  function _2(n2, u3, i3) {
    var f4 = y2(t2++, 2);
    if (f4.t = n2, !f4.__c && (f4.__ = [i3 ? i3(u3) : G2(void 0, u3), function(n3) {
      var t3 = (f4.__N || f4.__)[0], r3 = f4.t(t3, n3);
      o2(t3, r3) || (f4.__N = [r3, f4.__[1]], f4.__c.setState({}));
    }], f4.__c = r2, !r2.__f)) {
      r2.__f = !0;
      var c3 = r2.shouldComponentUpdate;
      r2.shouldComponentUpdate = function(n3, t3, r3) {
        var u4 = this.__H;
        if (!u4) return !0;
        var i4 = !1, f5 = this.props != n3;
        if (u4.__.some(function(n4) {
          n4.__N && (i4 = !0, o2(n4.__[0], n4.__N[0]) || (f5 = !0));
        }), c3) {
          var e3 = c3.call(this, n3, t3, r3);
          return i4 ? e3 || f5 : e3;
        }
        return !i4 || f5;
      };
    }
    return f4.__;
  }
  function F2(n2, u3) {
    var i3 = y2(t2++, 4);
    !a2.__s && E2(i3.__H, u3) && (i3.__P = !1, i3.__ = n2, i3.u = u3, r2.__h.push(i3));
  }
  function T2(n2) {
    return f2 = 5, w2(function() {
      return { current: n2 };
    }, []);
  }
  function w2(n2, r3) {
    var u3 = y2(t2++, 7);
    return E2(u3.__H, r3) && (u3.__ = n2(), u3.__H = r3), u3.__;
  }
  function g2() {
    var n2;
    do {
      for (; n2 = e2.shift(); ) try {
        C2(n2);
      } catch (t4) {
        a2.__e(t4, { __: (n2 = n2.__P) && n2.__v });
      }
      for (; n2 = c2.shift(); ) {
        var t3 = n2.__H;
        if (n2.__P && t3) try {
          t3.__h.some(C2), t3.__h.some(D2), t3.__h = [];
        } catch (r3) {
          t3.__h = [], a2.__e(r3, n2.__v);
        }
      }
    } while (e2.length);
  }
  a2.__b = function(n2) {
    r2 = null, v2 && v2(n2);
  }, a2.__ = function(n2, t3) {
    n2 && t3.__k && t3.__k.__m && (n2.__m = t3.__k.__m), p2 && p2(n2, t3);
  }, a2.__r = function(n2) {
    l2 && l2(n2), t2 = 0;
    var i3 = (r2 = n2.__c).__H;
    i3 && (u2 == r2 ? r2.__h = [] : (i3.__h.some(C2), i3.__h.some(D2), t2 = 0), i3.__h = [], i3.__.some(function(n3) {
      n3.__N && (n3.__ = n3.__N), n3.u = n3.__N = void 0;
    })), u2 = r2;
  }, a2.diffed = function(n2) {
    m2 && m2(n2);
    var t3 = n2.__c;
    t3 && t3.__H && (t3.__H.__h.length && B2(c2.push(t3)), t3.__H.__.some(function(n3) {
      n3.u && (n3.__H = n3.u);
    })), u2 = r2 = null;
  }, a2.__c = function(n2, t3) {
    t3.some(function(n3) {
      try {
        n3.__h.some(C2), n3.__h = n3.__h.filter(function(n4) {
          return !n4.__ || D2(n4);
        });
      } catch (t4) {
        n3.__h = [function() {
          throw t4;
        }];
      }
    }), h2 && h2(n2, t3);
  }, a2.unmount = function(n2) {
    s2 && s2(n2);
    var t3, r3, u3 = n2.__c;
    u3 && u3.__H && (u3.__H.__.some(function(u4) {
      try {
        if (u4.__P && u4.__c) {
          if (r3 === void 0) {
            for (r3 = n2.__; r3 && (!r3.__c || !r3.__c.__P); ) r3 = r3.__;
            r3 = r3 && r3.__c;
          }
          u4.__P = r3, B2(e2.push(u4));
        } else C2(u4);
      } catch (n3) {
        t3 = n3;
      }
    }), u3.__H = void 0, t3 && a2.__e(t3, u3.__v));
  };
  var k = typeof requestAnimationFrame == "function";
  function z2(n2) {
    var t3, r3 = function() {
      clearTimeout(u3), k && cancelAnimationFrame(t3), setTimeout(n2);
    }, u3 = setTimeout(r3, 35);
    k && (t3 = requestAnimationFrame(r3));
  }
  function B2(n2) {
    n2 != 1 && i2 == a2.requestAnimationFrame || ((i2 = a2.requestAnimationFrame) || z2)(g2);
  }
  function C2(n2) {
    var t3 = r2, u3 = n2.__c;
    typeof u3 == "function" && (n2.__c = void 0, u3()), r2 = t3;
  }
  function D2(n2) {
    var t3 = r2;
    n2.__c = n2.__(), r2 = t3;
  }
  function E2(n2, t3) {
    return !n2 || n2.length != t3.length || t3.some(function(t4, r3) {
      return !o2(t4, n2[r3]);
    });
  }
  function G2(n2, t3) {
    return typeof t3 == "function" ? t3(n2) : t3;
  }

  // src/data.ts
  var FORMATS = { float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array }, textOf = (id) => document.getElementById(id).textContent, page = JSON.parse(textOf("page-data")), { layers, heads, categories, samples } = page, cells = layers.length * heads;
  async function unpacked(index, packed) {
    let content = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)), stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip")), bytes = new Uint8Array(await new Response(stream).arrayBuffer()), made = /* @__PURE__ */ new Map(), make = (name) => {
      let [type, first, number] = index[name], size = FORMATS[type].BYTES_PER_ELEMENT, own = new Uint8Array(number * size);
      for (let place = 0; place < own.length; place++) own[place % number * size + Math.floor(place / number)] = bytes[first + place];
      let found = new FORMATS[type](own.buffer);
      return made.set(name, found), found;
    };
    return (name) => made.get(name) ?? make(name);
  }
  var arrays;
  function setArrays(own) {
    arrays = own;
  }
  var array = (name) => arrays(name);
  function column(name, run = "a") {
    return ((run === "a" ? samples : page.second) ?? {})[name] ?? [];
  }
  var layerOf = (cell) => layers[Math.floor(cell / heads)], headOf = (cell) => cell % heads;

  // src/words.ts
  var words = page.words;
  function filled(name, values2) {
    return words[name].replace(/\{(\w+)\}/g, (_3, key) => String(values2[key])).replace(/(token|patch)(?=[\u4e00-\u9fff])/g, "$1 ");
  }
  function counted(name, number) {
    return filled(number === 1 && `${name}_one` in words ? `${name}_one` : name, { number });
  }
  var clipped = (text, most) => text.length > most ? `${text.slice(0, most)}…` : text, missing = (value) => value == null || Number.isNaN(value), minus = (text) => text.replace("-", "−");
  function digits(value, places) {
    return missing(value) ? "–" : minus(value.toFixed(places));
  }
  var headName = (cell) => filled("head_name", { layer: layerOf(cell), head: headOf(cell) });
  function shortName(cell, run = "a") {
    if (run === "a") return `L${layerOf(cell)}H${headOf(cell)}`;
    let { layers: layers2, heads: heads2 } = page.second;
    return `L${layers2[Math.floor(cell / heads2)]}H${cell % heads2}`;
  }
  var categoryName = (category) => category ? categories[category - 1] : words.all;

  // src/measures.ts
  var MOST_DOTS = 12, ofKind = (kind) => page.measures.filter((each) => each.kind === kind), measureOf = (key) => page.measures.find((each) => each.key === key), firstOfKind = (kind) => ofKind(kind).find((each) => each.name === "d2v") ?? ofKind(kind)[0];
  function mean(key, cell, category) {
    return array(`${key}/means`)[category * cells + cell];
  }
  function ranked(values2) {
    return [...values2.keys()].filter((place) => !Number.isNaN(values2[place])).sort((one, other) => values2[other] - values2[one]);
  }
  function order(key, category) {
    return ranked(array(`${key}/means`).subarray(category * cells, (category + 1) * cells));
  }
  function scaleOf([low, high], values2) {
    let slack = (high - low) * 1e-5, above = values2.filter((value) => value > high + slack).length, below = values2.filter((value) => value < low - slack).length, label = (end) => minus(String(Number(end.toPrecision(5)))), ticks2 = [low, (low + high) / 2, high], labels = [(below ? "≤ " : "") + label(low), label(ticks2[1]), (above ? "≥ " : "") + label(high)];
    return { low, high, ticks: ticks2, labels, beyond: above + below };
  }
  var clear = (measure, cell) => !measure.signed || array(`${measure.key}/told`)[cell] > 0;
  function interval({ key }, cell, corrected = !1) {
    let [low, high] = corrected ? ["lowest", "highest"] : ["low", "high"];
    return [array(`${key}/${low}`)[cell], array(`${key}/${high}`)[cell]];
  }
  function writtenInterval(measure, [low, high]) {
    return Number.isNaN(low) ? words.no_interval : filled("range", { low: written(measure, low), high: written(measure, high) });
  }
  function dotted(measure) {
    let highest = order(measure.key, 0);
    if (!measure.signed) return highest.slice(0, MOST_DOTS);
    let sureness = array(`${measure.key}/sureness`), surest = [...highest].sort((one, other) => sureness[other] - sureness[one]).slice(0, MOST_DOTS);
    return highest.filter((cell) => surest.includes(cell));
  }
  function written(measure, value) {
    return (measure.signed && value >= 0 ? "+" : "") + digits(value, 4);
  }

  // src/pieces.ts
  var loaded = /* @__PURE__ */ new Map(), asked = /* @__PURE__ */ new Set(), missing2 = /* @__PURE__ */ new Set(), taken = /* @__PURE__ */ new Map(), listener, missingPieces = () => [...missing2], piecesLoaded = () => loaded.size;
  async function take(name, { page: own, data, index, packed }) {
    if (own !== page.page) throw new Error(`${name} is of another page`);
    loaded.set(name, { data, array: await unpacked(index, packed) });
  }
  function fetchPiece(name) {
    return asked.add(name), new Promise((resolve) => {
      let script = document.createElement("script"), fail = () => {
        missing2.add(name), resolve();
      };
      script.src = `pieces/${name}.js`, script.onerror = fail, script.onload = () => {
        script.remove(), (taken.get(name) ?? Promise.reject()).then(resolve, fail);
      }, document.head.append(script);
    });
  }
  async function loadPieces(redraw) {
    listener = redraw, window.headflowPiece = (name, content) => {
      taken.set(name, take(name, content));
    };
    for (let place of document.querySelectorAll("script[id^=piece-]"))
      await take(place.id.slice(6), JSON.parse(place.textContent));
    page.folder && await fetchPiece("page");
    let own = loaded.get("page");
    return own && setArrays(own.array), own !== void 0;
  }
  function piece(name) {
    return page.folder && !asked.has(name) && fetchPiece(name).then(() => listener()), loaded.get(name);
  }
  function evidence(row, run = "a", cell = null) {
    if (run === "b") return page.second ? piece("evidence_b") : void 0;
    if (!page.folder) return piece("evidence");
    let { each, whole } = page.folder, own = cell !== null && !page.maps?.cells.includes(cell) && whole.includes(row);
    return piece(own ? `sample-${row}` : `samples-${Math.floor(row / each)}`);
  }
  function valuesOfRow(row) {
    return page.folder ? page.folder.whole.includes(row) ? piece(`sample-${row}`) : void 0 : piece("evidence");
  }
  function texts(row, run = "a") {
    if (run === "b") return page.second?.texts?.rows.includes(row) ? piece("texts_b") : void 0;
    if (page.texts?.rows.includes(row))
      return piece(page.folder ? `text-${row}` : "texts");
  }
  function values(key, cell, run = "a") {
    if (run === "b") return page.second ? piece("values_b") : void 0;
    if (!page.folder) return piece("values");
    let measure = page.measures.findIndex((each) => each.key === key);
    return cell < cells ? piece(`values-${measure}-${Math.floor(cell / page.folder.heads)}`) : void 0;
  }

  // src/texts.ts
  var ONE = 65535, COLOURS = 256, textsOf = (run = "a") => run === "a" ? page.texts : page.second?.texts ?? null;
  function textOf2(row, run) {
    let piece2 = texts(row, run), own = piece2?.data.samples[row];
    return piece2 && own ? { piece: piece2, own } : null;
  }
  var tokensOf = (row, run = "a") => textOf2(row, run)?.own.pieces ?? null, hasMasses = (cell, run = "a") => textsOf(run)?.cells.includes(cell) ?? !1, hasStepMaps = (row, run = "a") => textsOf(run)?.mapped_rows.includes(row) ?? !1, lengthOf = (row, run = "a") => (run === "a" ? samples : page.second)?.n_generated?.[row] ?? 0, stepsOf = (row, run) => Math.ceil(lengthOf(row, run) / textsOf(run).every);
  function placeOf(step2, run) {
    let { every } = textsOf(run);
    return step2 >= 0 && step2 % every === 0 ? step2 / every : null;
  }
  function massAt(row, step2, cell, run = "a") {
    let found = textOf2(row, run);
    if (!found) return NaN;
    let place = placeOf(step2, run), steps2 = stepsOf(row, run);
    if (place === null || place >= steps2) return NaN;
    if (cell === null) return found.piece.array("means")[found.own.means + place];
    let head = found.piece.data.cells.indexOf(cell);
    return head < 0 ? NaN : found.piece.array("masses")[found.own.masses + head * steps2 + place] / ONE;
  }
  function mapAt(row, step2, cell, run = "a") {
    let found = textOf2(row, run), sample = found?.own.maps, head = found?.piece.data.mapped.indexOf(cell) ?? -1;
    if (!found || !sample || head < 0) return null;
    let place = placeOf(step2, run), steps2 = stepsOf(row, run);
    if (place === null || place >= steps2) return null;
    let number = head * steps2 + place, patches = sample.rows * sample.columns, first = sample.maps + number * patches;
    return {
      sample,
      values: found.piece.array("maps").subarray(first, first + patches),
      mass: found.piece.array("masses_of_maps")[sample.masses + number]
    };
  }
  function endOfScale(shown, all) {
    let ends = ["a", "b"].flatMap((run) => {
      let highest = textsOf(run)?.highest ?? [];
      return all ? highest : highest[1 + (shown(run) ?? -1)] ?? 0;
    });
    return Math.max(...ends) || 1;
  }
  function shadeOf(mass, end) {
    let step2 = Math.round(Math.min(1, mass / end) * (COLOURS - 1)), [red, green, blue, white] = array("token_colours").subarray(4 * step2, 4 * step2 + 4);
    return { background: `rgb(${red} ${green} ${blue})`, color: white ? "#fff" : "#000" };
  }
  var numberOfTexts = (run = "a") => (run === "a" ? samples : page.second)?.text?.filter((text) => text !== null).length ?? 0, numberOfHeads = (run = "a") => textsOf(run)?.there ?? cells;

  // src/maps.ts
  var STEPS = 255, scaleOfMaps = () => page.maps ?? page.texts, hasMaps = (cell) => page.maps?.cells.includes(cell) ?? !1;
  function mapOf(row, cell, run = "a") {
    let piece2 = evidence(row, run, cell), sample = piece2?.data.samples[row], place = piece2?.data.cells.indexOf(cell) ?? -1;
    if (!piece2 || !sample || place < 0) return null;
    let patches = sample.rows * sample.columns, first = sample.maps + place * patches;
    return {
      sample,
      values: piece2.array("maps").subarray(first, first + patches),
      mass: piece2.array("masses")[sample.masses + place]
    };
  }
  function imageSource(row) {
    let place = samples.picture[row], piece2 = place === null ? void 0 : evidence(row);
    return piece2 ? `data:image/jpeg;base64,${piece2.data.images[place]}` : null;
  }
  function paint(canvas, { sample, values: values2 }) {
    let scale = Math.log(sample.top) / Math.log(scaleOfMaps().top), steps2 = Array.from(values2, (value) => Math.round(value * scale));
    paintSteps(canvas, steps2, sample.columns, sample.rows);
  }
  function paintSteps(canvas, steps2, width, height) {
    let colours = array("colours"), pixels = new ImageData(width, height);
    steps2.forEach((step2, place) => pixels.data.set([...colours.subarray(4 * step2, 4 * step2 + 4)], 4 * place)), canvas.getContext("2d", { willReadFrequently: !0 }).putImageData(pixels, 0, 0);
  }
  function paintScale(canvas) {
    paintSteps(canvas, [...Array(STEPS + 1).keys()], STEPS + 1, 1);
  }
  function ticks() {
    let { top } = scaleOfMaps(), inner = [2, 5, 10, 20, 50, 100, 200, 500, 1e3].filter((value) => value < top);
    return [1, ...inner.length > 3 ? inner.filter((value) => /^1/.test(String(value))) : inner, top].map((value) => [value, Math.log(value) / Math.log(top)]);
  }
  function inside({ box, size }) {
    let [x0, y0, x1, y1] = box, [dx, dy] = [1 / size[0], 1 / size[1]];
    if (x0 < dx && y0 < dy && x1 > 1 - dx && y1 > 1 - dy) return null;
    let [left, top] = [Math.max(x0, 0), Math.max(y0, 0)];
    return { x: left, y: top, width: Math.min(x1, 1) - left, height: Math.min(y1, 1) - top };
  }
  function extent({ box }) {
    let [left, top] = [Math.min(0, box[0]), Math.min(0, box[1])];
    return { left, top, width: Math.max(1, box[2]) - left, height: Math.max(1, box[3]) - top };
  }

  // src/values.ts
  var NONE = 65535, valueOf = (step2, { low, high }) => step2 === NONE ? NaN : low + step2 / (NONE - 1) * (high - low);
  function valuesOfHead(key, cell, run = "a") {
    let piece2 = values(key, cell, run), own = piece2?.data[key], place = own?.cells.indexOf(cell) ?? -1;
    if (!piece2 || !own || place < 0) return null;
    let steps2 = piece2.array(key), samples2 = steps2.length / own.cells.length;
    return (row) => valueOf(steps2[place * samples2 + row], own);
  }
  function valuesOfSample(key, row) {
    let piece2 = valuesOfRow(row), own = piece2?.data.values?.[key], place = piece2?.data.rows?.indexOf(row) ?? -1;
    return !piece2 || !own || place < 0 ? null : Array.from(piece2.array(`values/${key}`).subarray(place * cells, (place + 1) * cells), (step2) => valueOf(step2, own));
  }
  function knownValues(key, cell) {
    let all = valuesOfHead(key, cell);
    if (all) return (row) => Number.isNaN(all(row)) ? void 0 : all(row);
    let { kept } = measureOf(key), [rows, highest] = [array(`${key}/top`), array(`${key}/values`)], places = Array.from({ length: kept }, (_3, each) => cell * kept + each), top = new Map(places.map((place) => [rows[place] - 1, highest[place]]));
    return (row) => top.get(row) ?? (page.folder ? void 0 : valuesOfSample(key, row)?.[cell]);
  }
  var sameShape = () => String(page.second?.layers) === String(layers) && page.second.heads === heads, shownCell = ({ cell, cellB }, run) => run === "a" || sameShape() ? cell : cellB, valuesOfB = (key, cell) => valuesOfHead(key, cell, "b");
  function valuesInB(key, cell) {
    return sameShape() ? valuesOfHead(key, cell, "b") : null;
  }
  var columnOfMass = () => `${page.maps?.of ?? "a"}2v`, nameOfMass = () => columnOfMass().toUpperCase();
  function massOf(row, cell, run = "a") {
    let key = `looking/${columnOfMass()}`, values2 = page.measures.some((each) => each.key === key) ? run === "a" ? knownValues(key, cell) : valuesOfB(key, cell) : null;
    return mapOf(row, cell, run)?.mass ?? values2?.(row);
  }

  // src/state.ts
  var ANSWERS = ["any", "right", "wrong", "a-only", "b-only"], SORTS = ["first", "question", "category", "margin", "lead", "p_yes", "p_options", "value", "lead-b", "value-b"];
  function oneOf(name, texts2, from, first) {
    return { name, first, write: (value) => texts2[value - from], read: (text) => texts2.includes(text) ? texts2.indexOf(text) + from : void 0 };
  }
  function word(name, values2, first) {
    return { name, first, write: (value) => value, read: (text) => values2.find((each) => each === text) };
  }
  function yesOrNo(name, first) {
    return { name, first, write: (value) => value ? "yes" : "no", read: (text) => ({ yes: !0, no: !1 })[text] };
  }
  var cellsOfB = () => Array.from({ length: numberInB() }, (_3, cell) => shortName(cell, "b")), numberInB = () => page.second ? page.second.layers.length * page.second.heads : 0;
  function highestOfB() {
    return page.beside?.measures.includes(page.measure) ? ranked(array(`b/${page.measure}/means`).subarray(0, numberInB()))[0] ?? 0 : 0;
  }
  function step(name, texts2) {
    return { name, first: -1, write: (step2) => step2 < 0 ? "" : String(step2), read: (text) => /^\d+$/.test(text) && texts2 ? Number(text) : void 0 };
  }
  function quantity(name) {
    let there = [...page.measures.map((each) => each.key), "reliability", ...page.localised ? ["localisation"] : []];
    return { name, first: "", write: (key) => key, read: (key) => there.find((each) => each === key) };
  }
  function fieldsOf() {
    let all = Array.from({ length: cells }, (_3, cell) => shortName(cell)), panels = [];
    for (let flow of page.flows) panels[flow.panel] ??= flow.name;
    let columns = page.columns.map(([name]) => name), own = columns.find((name) => name === measureOf(page.measure).name), groups = ["run", ...layers.map((layer) => `layer/${layer}`), ...categories.map((name) => `category/${name}`)];
    return {
      at: word("at", ["", ...sections()], ""),
      measure: {
        name: "measure",
        first: page.measure,
        write: (key) => key,
        read: (key) => page.measures.find((each) => each.key === key)?.key
      },
      category: oneOf("category", ["", ...categories], 0, 0),
      cell: oneOf("head", all, 0, order(page.measure, 0)[0] ?? 0),
      cellB: oneOf("head-b", sameShape() ? [] : cellsOfB(), 0, highestOfB()),
      shade: word("colours", ["value", "rank"], "value"),
      scale: word("scale", ["shared", "own"], "shared"),
      across: quantity("across"),
      up: quantity("up"),
      spread: yesOrNo("spread", !1),
      selected: {
        name: "selected",
        first: "",
        write: (names2) => names2,
        read: (names2) => names2.split(",").every((name) => all.includes(name)) ? names2 : void 0
      },
      compared: word("compared", columns, own ?? columns.at(-1) ?? ""),
      panel: oneOf("columns", panels, 0, 0),
      of: oneOf("rows", groups, 0, 0),
      sampleCategory: oneOf("samples-of", ["", ...categories], -1, -1),
      pair: oneOf("state", ["", page.stateless, ...page.states], -2, -2),
      answer: word("answer", ANSWERS, "any"),
      sort: word("sort", SORTS, "first"),
      falling: yesOrNo("falling", !1),
      view: word("view", ["cards", "table"], page.images ? "cards" : "table"),
      search: { name: "search", first: "", write: (text) => text, read: (text) => text },
      page: {
        name: "page",
        first: 0,
        write: (number) => String(number + 1),
        read: (text) => /^[1-9]\d*$/.test(text) ? Number(text) - 1 : void 0
      },
      sample: oneOf("sample", ["", ...samples.id], -1, -1),
      step: step("step", page.texts),
      stepB: step("step-b", page.second?.texts ?? null),
      tokens: word("tokens", ["head", "mean"], "head"),
      tokenScale: word("token-scale", ["all", "own"], "all"),
      overlay: yesOrNo("maps", !0),
      theme: word("theme", ["", "light", "dark"], "")
    };
  }
  var fields, current, listener2, unknown = [], lastMove = "", OWN = {};
  function begin(draw2) {
    listener2 = draw2, fields = fieldsOf(), recall(), addEventListener("popstate", () => {
      recall(), draw2();
    });
  }
  function sections() {
    return [...document.querySelectorAll("section[id$=-section]")].map((each) => each.id.replace(/-section$/, ""));
  }
  var state = () => current, notThere = () => unknown;
  function go(change, move = "") {
    let steps2 = "sample" in change && change.sample !== current.sample ? { step: -1, stepB: -1 } : {};
    current = { ...current, ...steps2, ...change }, unknown = [];
    let same = move !== "" && move === lastMove;
    lastMove = move;
    try {
      history[same ? "replaceState" : "pushState"](OWN, "", addressOf(current));
    } catch {
    }
    listener2();
  }
  function pass(at) {
    if (at !== current.at) {
      current = { ...current, at };
      try {
        history.replaceState(OWN, "", addressOf(current));
      } catch {
      }
      listener2();
    }
  }
  function follow(hash) {
    let { found } = choicesIn(hash);
    return go(found), found;
  }
  var names = () => Object.keys(fields);
  function addressOf(state2) {
    return `#${names().flatMap((key) => {
      let { name, first, write } = fields[key], text = write(state2[key]);
      return text === write(first) ? [] : [`${name}=${encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%20", "+")}`];
    }).join("&")}`;
  }
  function choicesIn(hash) {
    let at = /^#(\w+)-section$/.exec(hash)?.[1], said = new URLSearchParams(at ? { at } : hash.includes("=") ? hash.slice(1) : ""), found = {}, missed = [], take2 = (key) => {
      let { name, read } = fields[key], text = said.get(name);
      if (said.delete(name), text === null) return;
      let value = read(text);
      value === void 0 ? missed.push(`${name}=${text}`) : found[key] = value;
    };
    names().forEach(take2);
    for (let [key, run] of [["step", "a"], ["stepB", "b"]])
      found[key] === void 0 || found[key] < lengthOf(found.sample ?? -1, run) || (missed.push(`${fields[key].name}=${found[key]}`), delete found[key]);
    return { found, missed: [...missed, ...[...said].map(([name, text]) => `${name}=${text}`)] };
  }
  function recall() {
    lastMove = "";
    let { found, missed } = choicesIn(location.hash), first = Object.fromEntries(names().map((key) => [key, fields[key].first])), within = current && location.hash && !location.hash.includes("=");
    unknown = missed, current = { ...within ? current : first, ...found };
  }

  // node_modules/preact/jsx-runtime/dist/jsxRuntime.mjs
  var f3 = /* @__PURE__ */ Symbol.for("pv"), o3 = 0;
  function a3(t3, e3, n2, u3, a4, i3) {
    e3 || (e3 = {});
    var c3, l3, p3 = e3;
    if ("ref" in p3 && typeof t3 != "function") for (l3 in p3 = {}, e3) l3 == "ref" ? c3 = e3[l3] : p3[l3] = e3[l3];
    var s3 = { type: t3, props: p3, key: n2, ref: c3, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: f3, __v: --o3, __i: -1, __u: 0 };
    return (a4 || i3) && (s3.__source = a4, s3.__self = i3), n.vnode && n.vnode(s3), s3;
  }

  // src/address.tsx
  var LONGEST = 60;
  function Address() {
    let names2 = notThere().map((name) => clipped(name, LONGEST));
    return /* @__PURE__ */ a3("div", { role: "status", children: names2.length > 0 && /* @__PURE__ */ a3("p", { class: "note", children: filled("not_there", { names: names2.join(words.comma) }) }) });
  }
  function CopyLink() {
    let [said, say] = d2("");
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("span", { role: "status", class: "small", children: said }),
      " ",
      /* @__PURE__ */ a3("button", { type: "button", id: "copy-link", onClick: async () => say(await copied(location.href) ? words.copied : words.not_copied), onBlur: () => say(""), children: words.copy_link })
    ] });
  }
  async function copied(text) {
    try {
      return await navigator.clipboard.writeText(text), !0;
    } catch {
      let field = document.createElement("textarea");
      field.value = text, document.body.append(field), field.select();
      let done = document.execCommand("copy");
      return field.remove(), done;
    }
  }

  // src/theme.ts
  var root = document.documentElement, style;
  function applyTheme(chosen) {
    chosen ? root.dataset.theme = chosen : delete root.dataset.theme, style = getComputedStyle(root);
  }
  var scheme = () => style.colorScheme === "dark" ? "dark" : "light", colour = (name) => style.getPropertyValue(`--${name}`).trim(), grey = () => scheme() === "dark" ? "#6a727d" : "#b4b4b4", LIGHT = ["#0b5fa5", "#efece4", "#c25700"], PRINT = {
    colours: { soft: "#222222", line: "#cccccc", quiet: "#c3c7cc", own: "#e08a00", ink: "#000000" },
    letters: [7, 8],
    font: "Helvetica, Arial, sans-serif",
    background: "#ffffff",
    diverging: LIGHT,
    lines: 0.5,
    signals: { grey: "#b4b4b4", ink: "#000000", accent: "#0072b2", picked: -1 }
    // no head is chosen on paper
  };
  function screen() {
    let size = parseFloat(style.fontSize) / 16, [soft, line, quiet, own, ink] = ["soft", "line", "quiet", "own", "ink"].map(colour);
    return {
      colours: { soft, line, quiet, own, ink },
      letters: [11.5 * size, 12 * size],
      font: "system-ui, sans-serif",
      background: "transparent",
      diverging: scheme() === "dark" ? ["#6cc0ff", "#3d444f", "#ffb454"] : LIGHT,
      lines: 1,
      signals: {}
    };
  }
  function configOfCharts(look = screen()) {
    let { soft, line, quiet, own, ink } = look.colours, letters = { labelColor: soft, titleColor: soft, labelFontSize: look.letters[0] }, [gridWidth, domainWidth, tickWidth] = Array(3).fill(look.lines), lines = { gridColor: line, domainColor: line, tickColor: line, gridWidth, domainWidth, tickWidth };
    return {
      background: look.background,
      font: look.font,
      axis: { ...letters, ...lines, titleFontWeight: 500, titleFontSize: look.letters[1] },
      view: { stroke: null },
      legend: { ...letters, symbolBaseStrokeColor: soft },
      range: { ramp: { scheme: "viridis" }, diverging: look.diverging },
      style: {
        quiet: { fill: quiet, stroke: quiet, color: quiet },
        own: { fill: own, color: own },
        chosen: { stroke: ink, fill: null },
        picked: { stroke: own, fill: null },
        chosen_dot: { stroke: ink }
      }
    };
  }

  // src/export.ts
  var POINTS = 72, DOTS = 300, INCHES = { narrow: 3.3, wide: 6.9, svg: 6.9 }, FLATTER = { narrow: 0.55, wide: 0.75, svg: 0.75 }, LOWEST = 115, THINNER = { strokeWidth: 0.5, thickness: 0.5, size: 0.4, gradientLength: 0.55 }, LONGEST2 = 40, METRE = 39.3701, OWN2 = /* @__PURE__ */ new Set(["chosen", "picked"]), WORDED = /* @__PURE__ */ new Set(["text", "all_text", "interval", "corrected", "shade", "order", "place", "cell", "ink", "inside", "place_end"]);
  async function save(chart, format) {
    let name = [page.run, chart.id ?? chart.name.replace("_signed", ""), ...chart.parts ?? []].map((part) => part.replace(/[^\p{L}\p{N}-]+/gu, "_").slice(0, LONGEST2)).join("_");
    if (format === "csv") return offer(`${name}.csv`, new Blob([csv(rowsOf(chart), chart.titles)], { type: "text/csv" }));
    let [made, done] = await forPrint(chart, format);
    try {
      let file = `${name}_${INCHES[format]}in`;
      if (format === "svg") {
        let text = (await made.view.toSVG()).replace(/(<svg[^>]*? width="[\d.]+)("[^>]*? height="[\d.]+)"/, '$1pt$2pt"');
        offer(`${file}.svg`, new Blob([text], { type: "image/svg+xml" }));
      } else {
        let url = await made.view.toImageURL("png", DOTS / POINTS);
        offer(`${file}.png`, new Blob([withDots(bytesOf(url))], { type: "image/png" }));
      }
    } finally {
      done();
    }
  }
  async function forPrint(chart, format) {
    let place = document.createElement("div");
    place.className = "for-print", document.body.append(place);
    let width = Math.round(INCHES[format] * POINTS), data = Object.entries(chart.data ?? {}).map(([name, rows]) => [name, OWN2.has(name) ? [] : rows]), signals = { ...chart.signals };
    for (let name of Object.keys(signals)) name in PRINT.signals && (signals[name] = PRINT.signals[name]);
    let spec = {
      ...thinner(withLegend(titled(chart.spec, chart.titles), labelsOf(chart), format === "narrow" ? 2 : 3)),
      width,
      height: Math.max(LOWEST, Math.round(chart.spec.height * FLATTER[format]))
    }, made = await embed(place, spec, { data: Object.fromEntries(data), signals }, PRINT);
    return [made, () => (made.finalize(), place.remove())];
  }
  var labelsOf = ({ data }) => [...new Set(Object.values(data ?? {}).flat().map((row) => row.label))];
  function withLegend(spec, values2, columns) {
    let named = (part) => {
      if (Array.isArray(part)) return part.map(named);
      if (typeof part != "object" || part === null) return part;
      let own = Object.entries(part).map(([key, value]) => [key, key === "color" ? legended(value) : named(value)]);
      return Object.fromEntries(own);
    }, legended = (colour2) => colour2.legend === null ? { ...colour2, legend: { orient: "top", title: null, labelLimit: 400, values: values2, columns } } : colour2;
    return named(spec);
  }
  function thinner(part) {
    if (typeof part != "object" || part === null) return part;
    if (Array.isArray(part)) return part.map(thinner);
    let own = Object.entries(part).map(([key, value]) => [
      key,
      key === "data" ? value : typeof value == "number" && key in THINNER ? value * THINNER[key] : thinner(value)
    ]);
    return Object.fromEntries(own);
  }
  function rowsOf({ data, spec, signals }) {
    let given2 = Object.entries(data ?? {}).filter(([name]) => !OWN2.has(name) && name !== "steps");
    if (!given2.length) {
      let [rows] = inSpec(spec).sort((one, other) => other.length - one.length);
      return rows.filter((row) => signals?.flow === void 0 || row.flow === signals.flow);
    }
    return given2.flatMap(([name, rows]) => rows.map((row) => given2.length > 1 ? { of: name, ...row } : row));
  }
  function inSpec(spec) {
    if (typeof spec != "object" || spec === null) return [];
    let own = spec.data?.values;
    return [...own ? [own] : [], ...Object.values(spec).flatMap(inSpec)];
  }
  function csv(rows, titles) {
    let columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !WORDED.has(name)), cell = (value) => {
      let text = value == null || Number.isNaN(value) ? "" : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [columns.map((name) => titles?.[name] ?? name), ...rows.map((row) => columns.map((name) => row[name]))].map((line) => `${line.map(cell).join(",")}
`).join("");
  }
  function bytesOf(url) {
    let letters = atob(url.slice(url.indexOf(",") + 1));
    return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  }
  function withDots(png) {
    let made = new Uint8Array(png.length + 21), view = new DataView(made.buffer);
    return made.set(png.subarray(0, 33)), made.set(png.subarray(33), 54), view.setUint32(33, 9), made.set([..."pHYs"].map((letter) => letter.charCodeAt(0)), 37), view.setUint32(41, Math.round(DOTS * METRE)), view.setUint32(45, Math.round(DOTS * METRE)), made[49] = 1, view.setUint32(50, checksum(made.subarray(37, 50))), made;
  }
  function checksum(bytes) {
    let found = -1;
    for (let byte of bytes) {
      found ^= byte;
      for (let bit = 0; bit < 8; bit++) found = found >>> 1 ^ (found & 1 ? 3988292384 : 0);
    }
    return ~found >>> 0;
  }
  function offer(name, content) {
    let link = document.createElement("a");
    link.href = URL.createObjectURL(content), link.download = name, link.click(), setTimeout(() => URL.revokeObjectURL(link.href), 6e4);
  }

  // src/chart.tsx
  var ERRORS = 1, pending = /* @__PURE__ */ new Set();
  async function drawn() {
    for (; pending.size; ) await Promise.all(pending);
  }
  function track(work) {
    let own = work.finally(() => pending.delete(own));
    return pending.add(own), own;
  }
  function given(vega, { data = {}, signals = {} }) {
    for (let each of vega.data ?? []) each.name in data && (each.values = data[each.name]);
    for (let each of vega.signals ?? []) each.name in signals && (each.value = signals[each.name]);
    return vega;
  }
  function embed(place, spec, own, look) {
    return vegaEmbed(place, spec, {
      mode: "vega-lite",
      patch: (vega) => given(vega, own),
      ast: !0,
      actions: !1,
      renderer: "svg",
      defaultStyle: !1,
      config: configOfCharts(look),
      logLevel: ERRORS,
      tooltip: { disableDefaultStyle: !0 }
    });
  }
  function titled(spec, titles) {
    if (!titles) return structuredClone(spec);
    let names2 = /* @__PURE__ */ new Map([["X", titles.x], ["Y", titles.y]]);
    return JSON.parse(JSON.stringify(spec), (key, value) => key === "title" ? names2.get(value) ?? value : value);
  }
  function fill(view, { data, signals }) {
    for (let [name, rows] of Object.entries(data ?? {})) view.data(name, rows);
    for (let [name, value] of Object.entries(signals ?? {})) view.signal(name, value);
    return view.resize().runAsync();
  }
  function Chart({ name, id = name, label, data, signals, onPick, onBrush, titles, plot }) {
    let place = T2(null), wanted = T2({ label, data, signals, onPick, onBrush }), queue = T2(null);
    wanted.current = { label, data, signals, onPick, onBrush };
    let refill = async (drawn2) => {
      let { label: label2, data: data2, signals: signals2 } = wanted.current, { view } = drawn2.made;
      return view.description(label2), (drawn2.data !== data2 || drawn2.signals !== signals2) && (Object.assign(drawn2, { data: data2, signals: signals2 }), await fill(view, { data: data2, signals: signals2 })), drawn2;
    };
    return F2(() => {
      let begun = embed(place.current, titled(page.charts[name], titles), { data, signals }).then((made) => (onBrush && made.view.addSignalListener("brush", (_3, area) => wanted.current.onBrush?.(area)), place.current.querySelector("svg")?.setAttribute("aria-hidden", "true"), made.view.addEventListener("click", (_3, item) => item?.datum && wanted.current.onPick?.(item.datum)), { made, data, signals }));
      return queue.current = begun, () => {
        begun.then(({ made }) => made.finalize());
      };
    }, [name, scheme(), titles?.x, titles?.y]), F2(() => {
      let element = place.current;
      element.ariaBusy = "true";
      let idle = () => {
        queue.current === own && (element.ariaBusy = null);
      }, own = track(queue.current.then(refill).finally(idle));
      queue.current = own;
    }, [name, scheme(), titles?.x, titles?.y, label, data, signals]), /* @__PURE__ */ a3("div", { class: "plot", id, ref: place, ...plot });
  }
  function Figure({ children, ...chart }) {
    return /* @__PURE__ */ a3("figure", { class: "chart", children: [
      /* @__PURE__ */ a3(Chart, { ...chart }),
      /* @__PURE__ */ a3(SaveMenu, { ...chart }),
      children
    ] });
  }
  var FORMATS2 = [
    ["svg", "export_svg"],
    ["narrow", "export_narrow"],
    ["wide", "export_wide"],
    ["csv", "export_csv"]
  ];
  function SaveMenu({ name, id, label, parts, data, signals, titles }) {
    let menu = T2(null), close2 = () => {
      menu.current.open = !1, menu.current.querySelector("summary").focus();
    }, choose2 = (format) => {
      close2(), track(save({ name, id, parts, spec: page.charts[name], data, signals, titles }, format));
    };
    return /* @__PURE__ */ a3("details", { class: "save", ref: menu, onKeyDown: (event) => event.key === "Escape" && close2(), children: [
      /* @__PURE__ */ a3("summary", { "aria-label": `${words.export}${words.colon}${label}`, children: words.export }),
      /* @__PURE__ */ a3("div", { children: FORMATS2.map(([format, text]) => /* @__PURE__ */ a3("button", { type: "button", "data-save": format, onClick: () => choose2(format), children: words[text] })) })
    ] });
  }

  // src/controls.tsx
  function Select({ id, label, value, choices, onChoose }) {
    return /* @__PURE__ */ a3("label", { for: id, children: [
      words[label],
      " ",
      /* @__PURE__ */ a3("select", { id, value, onChange: (event) => onChoose(event.currentTarget.value), children: choices.map(([each, text]) => /* @__PURE__ */ a3("option", { value: each, children: text }, each)) })
    ] });
  }
  function LinksToHeads({ cells: cells2, run = "a" }) {
    let own = run === "b" && !sameShape();
    return /* @__PURE__ */ a3($, { children: cells2.map((cell) => /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(Link, { text: shortName(cell, run), onClick: () => go(own ? { cellB: cell } : { cell }) }),
      " "
    ] })) });
  }
  function WithHeads({ text, measure }) {
    let parts = text.split(/\b(L\d+H\d+)\b/);
    return /* @__PURE__ */ a3($, { children: parts.map((part, place) => place % 2 ? /* @__PURE__ */ a3("a", { href: `#head=${part}&measure=${measure}`, children: part }) : part) });
  }
  function Link({ text, onClick }) {
    return /* @__PURE__ */ a3("button", { type: "button", class: "link", onClick, children: text });
  }

  // src/define.tsx
  function Define({ name, texts: texts2 }) {
    return /* @__PURE__ */ a3("details", { class: "define", name: "define", children: [
      /* @__PURE__ */ a3("summary", { "aria-label": filled("what_is", { name }), children: "?" }),
      /* @__PURE__ */ a3("div", { class: "meaning", children: texts2.map((text) => /* @__PURE__ */ a3("p", { children: text })) })
    ] });
  }

  // src/place.ts
  var LINE = 0.3, elementOf = (name) => document.getElementById(`${name}-section`);
  function land() {
    state().at && elementOf(state().at).scrollIntoView();
  }
  var leading = 0, focusMap = () => document.getElementById("map")?.focus({ preventScroll: !0 });
  function choose({ cell }) {
    cell !== void 0 && (go({ cell }), focusMap());
  }
  async function pressed(event) {
    let link = event.target.closest?.("a[href^='#']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    let { at, cell } = follow(link.getAttribute("href"));
    cell !== void 0 && focusMap(), at !== void 0 && (leading += 1, land(), cell === void 0 && elementOf(at).focus({ preventScroll: !0 }), await drawn().finally(() => leading -= 1), land());
  }
  function watch() {
    if (leading) return;
    let own = elementOf(state().at || sections()[0]).getBoundingClientRect().top, { scrollTop, scrollHeight, clientHeight } = document.documentElement;
    scrollTop + clientHeight >= scrollHeight - 1 && own >= 0 && own < clientHeight || pass(sections().findLast((name) => elementOf(name).getBoundingClientRect().top <= LINE * clientHeight) ?? "");
  }
  function markPlace() {
    for (let link of document.querySelectorAll("#contents a"))
      link.getAttribute("href") === `#${state().at}-section` ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }
  function watchPlace() {
    let waiting = !1, later = () => {
      waiting || requestAnimationFrame(() => (waiting = !1, watch())), waiting = !0;
    };
    addEventListener("scroll", later, { passive: !0 }), document.addEventListener("click", (event) => {
      pressed(event);
    }), addEventListener("popstate", (event) => event.state === null && land());
  }

  // src/listing.ts
  var ANSWERED = {
    any: () => !0,
    right: (row) => samples.right[row] === 1,
    wrong: (row) => samples.right[row] === 0,
    "a-only": (row) => samples.right[row] === 1 && page.second?.right[row] === 0,
    "b-only": (row) => samples.right[row] === 0 && page.second?.right[row] === 1
  }, last = { of: "", rows: [] };
  function listed(state2) {
    let { sampleCategory, pair, answer, search, sort, falling, measure, cell } = state2, head = sort === "value" || sort === "value-b" ? [measure, cell, piecesLoaded()] : [], of = JSON.stringify([sampleCategory, pair, answer, search, sort, falling, ...head]);
    return last.of !== of && (last = { of, rows: sorted(filtered(state2), state2) }), last.rows;
  }
  function filtered(state2) {
    let text = state2.search.trim().toLowerCase(), fits = (row) => (state2.sampleCategory < 0 || samples.category[row] === state2.sampleCategory) && (state2.pair < -1 || samples.state[row] === state2.pair) && ANSWERED[state2.answer](row) && (!text || [samples.question[row], samples.id[row], samples.text?.[row]].some((each) => each?.toLowerCase().includes(text)));
    return [...samples.id.keys()].filter(fits);
  }
  function sorted(rows, state2) {
    let key = keyOf(state2), keys = new Float64Array(samples.id.length);
    for (let row of rows) keys[row] = key(row) ?? NaN;
    let sign = state2.falling ? -1 : 1;
    return rows.sort((one, other) => compared(keys[one], keys[other], sign) || one - other);
  }
  function keyOf({ sort, measure, cell }) {
    let values2 = sort === "value" ? knownValues(measure, cell) : null, inB2 = sort === "value-b" ? valuesInB(measure, cell) : null;
    return {
      first: (row) => +(samples.picture[row] === null),
      // so that the few images of the page are found
      question: (row) => placesOfQuestions()[row],
      category: (row) => placesOfCategories()[samples.category[row]],
      value: (row) => values2(row),
      "value-b": (row) => inB2?.(row),
      "lead-b": (row) => column("lead", "b")[row]
    }[sort] ?? ((row) => column(sort)[row]);
  }
  function placesOf(texts2) {
    let { compare } = new Intl.Collator(void 0, { numeric: !0 }), inOrder = [...new Set(texts2)].filter((text) => text !== null).sort(compare), places = /* @__PURE__ */ new Map();
    return inOrder.forEach((text, place) => {
      let before = inOrder[place - 1];
      places.set(text, place > 0 && compare(before, text) === 0 ? places.get(before) : place);
    }), texts2.map((text) => text === null ? NaN : places.get(text));
  }
  function once(make) {
    let made;
    return () => made ??= make();
  }
  var placesOfQuestions = once(() => placesOf(samples.question)), placesOfCategories = once(() => placesOf(categories));
  function compared(one, other, sign) {
    let [lacks, otherLacks] = [Number.isNaN(one), Number.isNaN(other)];
    return lacks || otherLacks ? Number(lacks) - Number(otherLacks) : sign * (one - other);
  }
  function canSort(name, { measure, cell }) {
    return name === "lead-b" ? column("lead", "b").some((value) => value !== null) : name === "value-b" ? valuesInB(measure, cell) !== null : !["margin", "lead", "p_yes", "p_options"].includes(name) || column(name).some((value) => value !== null);
  }
  function nameOfAnswer(answer) {
    return { any: words.any, right: words.right, wrong: words.wrong, "a-only": words.a_only, "b-only": words.b_only }[answer];
  }
  function nameOfSort(name, state2) {
    let value = `${measureOf(state2.measure).name.toUpperCase()} ${shortName(state2.cell)}`;
    return {
      first: words.sort_first,
      lead: words.lead_of_answer,
      value,
      "value-b": `B${words.colon}${value}`,
      "lead-b": `B${words.colon}${words.lead_of_answer}`
    }[name] ?? words[name];
  }

  // src/shown.tsx
  function Printed({ parts }) {
    return /* @__PURE__ */ a3("p", { class: "printed shown", children: parts.map(([name, text]) => words[name] + words.colon + text).join(words.semicolon) });
  }
  function ShownHeads({ state: state2 }) {
    return /* @__PURE__ */ a3(
      Printed,
      {
        parts: [
          ["measure", measureOf(state2.measure).label],
          ["category", categoryName(state2.category)],
          ["colour", words[`by_${state2.shade}`]],
          ["head", headName(state2.cell)]
        ]
      }
    );
  }
  function ShownSamples({ state: state2 }) {
    let pair = state2.pair < -1 ? words.any : words[state2.pair < 0 ? page.stateless : page.states[state2.pair]], parts = [
      ["category", state2.sampleCategory < 0 ? words.all : categories[state2.sampleCategory]],
      ...page.scored ? [
        ["answered", nameOfAnswer(state2.answer)],
        [page.opposite ? "state" : "answer", pair]
      ] : [],
      ["sort", nameOfSort(state2.sort, state2) + (state2.sort === "first" ? "" : words.comma + words[state2.falling ? "falling" : "rising"])]
    ];
    return state2.search && parts.push(["search", state2.search]), page.maps && parts.push(["overlay", state2.overlay ? headName(state2.cell) : "–"]), /* @__PURE__ */ a3(Printed, { parts });
  }

  // src/compared.tsx
  var MOST_NAMED = 3;
  function placeOf2(model, cell) {
    return { layer: model.layers[Math.floor(cell / model.heads)], head: cell % model.heads };
  }
  var rowOf = (name, row, size) => array(name).subarray(row * size, (row + 1) * size);
  function MapOfRun({ model, state: state2 }) {
    let { measure: key, category } = state2, measure = measureOf(key), means = model.name === "a" ? `${key}/means` : `b/${key}/means`, size = model.layers.length * model.heads, values2 = w2(() => rowOf(means, category, size), [means, category]), alike = model.name === "a" || sameShape(), own = shownCell(state2, model.name), highest = w2(() => ranked(values2), [values2]), data = w2(() => ({ cells: highest.map((cell, order2) => ({
      ...placeOf2(model, cell),
      cell,
      shade: values2[cell],
      told: 1,
      text: written(measure, values2[cell]),
      interval: "–",
      rank: order2 + 1
    })), chosen: [placeOf2(model, own)] }), [highest, own]), signals = w2(() => {
      let shown = highest.map((cell) => values2[cell]), { low, high, ticks: ticks2, labels } = scaleOf(rowOf(`b/${key}/ends`, category, 2), shown);
      return { low, high, ticks: ticks2, labels, fade: 1 };
    }, [key, category, highest]), said = (cell) => {
      let { layer, head } = placeOf2(model, cell);
      return `L${layer}H${head} ${written(measure, values2[cell])}`;
    }, named = highest.slice(0, MOST_NAMED), list = named.map(said).join(words.comma), caption = [model.name.toUpperCase(), words.comma, words.highest, words.colon, list].join(""), also = named.includes(own) ? "" : words.semicolon + said(own);
    return /* @__PURE__ */ a3(
      Figure,
      {
        id: `map-${model.name}`,
        name: model.name === "a" ? "map" : "map_b",
        label: caption,
        data,
        signals,
        parts: [measure.name, ...category ? [categoryName(category)] : []],
        onPick: (datum) => alike ? choose(datum) : go({ cellB: datum.cell }),
        children: /* @__PURE__ */ a3("figcaption", { children: caption + also })
      }
    );
  }
  function Compared({ state: state2 }) {
    return page.beside && /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("h3", { children: words.beside }),
      /* @__PURE__ */ a3(Beside, { state: state2, other: page.beside }),
      /* @__PURE__ */ a3("div", { class: "split even", children: [
        /* @__PURE__ */ a3(Answers, {}),
        /* @__PURE__ */ a3(Columns, { state: state2 })
      ] })
    ] });
  }
  function Answers() {
    return page.charts.answers ? /* @__PURE__ */ a3("div", { children: [
      /* @__PURE__ */ a3("h3", { children: words.answers }),
      /* @__PURE__ */ a3(Figure, { name: "answers", label: words.answers }),
      /* @__PURE__ */ a3("p", { class: "definition", children: words.grey_answers })
    ] }) : null;
  }
  function Columns({ state: { compared: compared2 } }) {
    let signals = w2(() => ({ flow: compared2 }), [compared2]), chart = (name) => /* @__PURE__ */ a3(Figure, { name, label: words[name], signals, parts: [compared2] });
    return /* @__PURE__ */ a3("div", { children: [
      /* @__PURE__ */ a3("h3", { children: [
        words.profiles,
        /* @__PURE__ */ a3(Define, { name: words.depth, texts: [words.define_depth] })
      ] }),
      /* @__PURE__ */ a3("div", { class: "controls", children: /* @__PURE__ */ a3(
        Select,
        {
          id: "compared",
          label: "column",
          value: compared2,
          choices: page.columns,
          onChoose: (name) => go({ compared: name })
        }
      ) }),
      /* @__PURE__ */ a3(Printed, { parts: [["column", Object.fromEntries(page.columns)[compared2]]] }),
      chart("profiles"),
      page.charts.differences && /* @__PURE__ */ a3($, { children: [
        /* @__PURE__ */ a3("h3", { children: words.differences }),
        chart("differences"),
        /* @__PURE__ */ a3("p", { class: "definition", children: words.grey_differences })
      ] })
    ] });
  }
  function Beside({ state: state2, other }) {
    let { measure: key, category } = state2, { label: measure } = measureOf(key);
    if (!other.measures.includes(key)) return /* @__PURE__ */ a3("p", { id: "not-beside", children: filled("not_beside", { measure }) });
    let [a4, b] = [
      { name: "a", layers, heads },
      { name: "b", layers: other.layers, heads: other.heads }
    ];
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("p", { class: "definition", id: "beside-what", children: filled("beside_what", { measure, category: categoryName(category) }) }),
      /* @__PURE__ */ a3("div", { class: "split even", children: [
        /* @__PURE__ */ a3(MapOfRun, { model: a4, state: state2 }),
        /* @__PURE__ */ a3(MapOfRun, { model: b, state: state2 })
      ] })
    ] });
  }

  // src/distributions.tsx
  var BLACK = "#000000";
  function Distributions({ state: state2 }) {
    let shown = page.flows.map((flow, place) => ({ ...flow, place })).filter((flow) => flow.panel === state2.panel), panels = [...new Map(page.flows.map((flow) => [flow.panel, words[`panel_${flow.of}`]]))], groups = [words.whole_run, ...layers.map((layer) => `${words.layer} ${layer}`), ...categories], data = w2(() => {
      let made = bars(shown, state2.of);
      return { bars: made, steps: steps(made) };
    }, [state2.panel, state2.of]), signals = w2(
      () => ({ top: highestOfKind(shown, state2.of) * 1.05, ink: colour("ink") }),
      [state2.panel, state2.of, scheme()]
    );
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("div", { class: "controls", children: [
        /* @__PURE__ */ a3(
          Select,
          {
            id: "panel",
            label: "panel",
            value: state2.panel,
            choices: panels,
            onChoose: (value) => go({ panel: Number(value) })
          }
        ),
        /* @__PURE__ */ a3(
          Select,
          {
            id: "of-what",
            label: "of_what",
            value: state2.of,
            choices: groups.map((name, place) => [place, name]),
            onChoose: (value) => go({ of: Number(value) })
          }
        )
      ] }),
      /* @__PURE__ */ a3(Printed, { parts: [["panel", words[`panel_${shown[0].of}`]], ["of_what", groups[state2.of]]] }),
      /* @__PURE__ */ a3("p", { class: "key", id: "colours", children: shown.map((flow) => /* @__PURE__ */ a3($, { children: [
        /* @__PURE__ */ a3("span", { class: "swatch", style: { background: flow.colour === BLACK ? colour("ink") : flow.colour } }),
        flow.label,
        /* @__PURE__ */ a3(Define, { name: flow.label, texts: [flow.meaning] })
      ] })) }),
      /* @__PURE__ */ a3(
        Figure,
        {
          name: "distribution",
          label: words.distributions,
          parts: [shown.map((flow) => flow.name).join("_"), groups[state2.of]],
          data,
          signals
        }
      )
    ] });
  }
  var edges = () => page.measures[0].edges;
  function share(flow, group, bin) {
    return array("shares")[(group * page.flows.length + flow.place) * (edges().length - 1) + bin];
  }
  function bars(shown, group) {
    return shown.flatMap(
      (flow) => edges().slice(0, -1).map((left, bin) => ({
        left,
        right: edges()[bin + 1],
        label: flow.label,
        place: flow.place,
        share: share(flow, group, bin)
      }))
    );
  }
  function steps(made) {
    return made.flatMap(({ left, right, label, place, share: share2 }, at) => {
      let last2 = made[at + 1]?.place !== place;
      return [left, ...last2 ? [right] : []].map((x2) => ({ x: x2, label, place, share: share2 }));
    });
  }
  function highestOfKind(shown, group) {
    let [first, last2] = group === 0 ? [0, 0] : group <= layers.length ? [1, layers.length] : [layers.length + 1, layers.length + categories.length], top = 0;
    for (let each = first; each <= last2; each++)
      for (let bin = 0; bin < edges().length - 1; bin++)
        top = Math.max(top, ...shown.map((flow) => share(flow, each, bin)));
    return top;
  }

  // src/answers.tsx
  var categoryOf = (row) => categories[samples.category[row]], stateOf = (row) => samples.state[row] < 0 ? page.stateless : page.states[samples.state[row]];
  function Right({ right }) {
    return right === null ? null : /* @__PURE__ */ a3("span", { class: `tag ${right ? "right" : "wrong"}`, children: right ? words.right : words.wrong });
  }
  var saidBy = (row) => (samples.text ?? samples.prediction)[row], nameOfSaid = (run = "a") => (run === "a" ? samples : page.second)?.text ? "text_of_model" : "prediction";
  function SaidByB({ row }) {
    let { second } = page;
    return !second || !inB(row) ? null : /* @__PURE__ */ a3("p", { class: "of-other", children: [
      `B${words.colon}`,
      /* @__PURE__ */ a3("bdi", { children: (second.text ?? second.prediction)[row] ?? "–" }),
      " ",
      /* @__PURE__ */ a3(Right, { right: second.right[row] })
    ] });
  }
  var inB = (row) => (page.second?.prediction[row] ?? null) !== null;
  function Opener({ row }) {
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(Link, { text: samples.question[row] ?? samples.id[row], onClick: () => go({ sample: row }) }),
      page.images > 0 && samples.picture[row] === null && /* @__PURE__ */ a3("span", { class: "small no-image", children: [
        " (",
        words.no_image,
        ")"
      ] })
    ] });
  }
  function Said({ row, onOpen }) {
    let question = samples.question[row] ?? "–", numbers = Object.entries(page.numbers).map(([name, text]) => `${words[text]} ${digits(column(name)[row], 3)}`);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("p", { class: "question", children: onOpen ? /* @__PURE__ */ a3(Link, { text: question, onClick: onOpen }) : question }),
      /* @__PURE__ */ a3("p", { children: [
        page.scored && /* @__PURE__ */ a3($, { children: [
          words.answer,
          words.colon,
          /* @__PURE__ */ a3("bdi", { children: samples.answer[row] ?? "–" }),
          " · "
        ] }),
        words[nameOfSaid()],
        words.colon,
        /* @__PURE__ */ a3("bdi", { children: saidBy(row) ?? "–" })
      ] }),
      numbers.length > 0 && /* @__PURE__ */ a3("p", { class: "numbers-of-sample", children: numbers.join(" · ") }),
      page.scored && /* @__PURE__ */ a3("p", { children: [
        /* @__PURE__ */ a3(Right, { right: samples.right[row] }),
        stateOf(row) !== "right" && /* @__PURE__ */ a3("span", { class: "tag", children: words[stateOf(row)] })
      ] }),
      onOpen && /* @__PURE__ */ a3(SaidByB, { row }),
      /* @__PURE__ */ a3("p", { class: "small", children: [
        /* @__PURE__ */ a3("bdi", { children: categoryOf(row) }),
        " · ",
        /* @__PURE__ */ a3("bdi", { children: samples.id[row] })
      ] })
    ] });
  }

  // src/missing.tsx
  var NAMED = 3;
  function Missing() {
    let names2 = missingPieces().map((name) => `pieces/${name}.js`), shown = names2.slice(0, NAMED);
    return names2.length > NAMED && shown.push(filled("and_more", { number: names2.length - NAMED })), /* @__PURE__ */ a3("div", { role: "alert", class: "missing", children: names2.length > 0 && /* @__PURE__ */ a3("p", { class: "note", children: filled("missing_pieces", { names: shown.join(words.comma) }) }) });
  }

  // src/picture.tsx
  var HIGHEST = 220, MASS_OF_STEP = "G2V", hasImage = (row) => samples.picture[row] !== null, nameOfMassAt = (step2) => step2 < 0 ? nameOfMass() : MASS_OF_STEP;
  function mapAtStep(row, cell, step2, run = "a") {
    return cell === null ? null : step2 < 0 ? mapOf(row, cell, run) : mapAt(row, step2, cell, run);
  }
  function Picture({ row, cell, height = HIGHEST, run = "a", step: step2 = -1 }) {
    if (!hasImage(row))
      return page.images ? /* @__PURE__ */ a3("div", { class: "nothing", children: words.no_image }) : /* @__PURE__ */ a3("div", {});
    let found = mapAtStep(row, cell, step2, run), number = samples.images[row], mass = nameOfMassAt(step2), alt = `${words.image_of} ${samples.question[row] ?? samples.id[row]}`;
    return /* @__PURE__ */ a3("div", { class: "picture", children: [
      /* @__PURE__ */ a3(Framed, { row, cell, height, alt, run, step: step2 }),
      found && /* @__PURE__ */ a3("p", { class: "small mass", children: filled("mass_here", { head: shortName(cell, run), mass, value: digits(found.mass, 3) }) }),
      number > 1 && /* @__PURE__ */ a3("p", { class: "small", children: filled("first_of", { number }) })
    ] });
  }
  function tellRatio({ currentTarget: image }) {
    image.parentElement.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
  }
  function Framed({ row, cell, height = HIGHEST, alt, run = "a", step: step2 = -1 }) {
    let found = mapAtStep(row, cell, step2, run), image = /* @__PURE__ */ a3("img", { src: imageSource(row) ?? void 0, alt, onLoad: tellRatio });
    return found ? /* @__PURE__ */ a3(Overlaid, { found, height, children: image }) : /* @__PURE__ */ a3("div", { class: "frame", children: image });
  }
  function placed(found, [x0, y0, x1, y1]) {
    let { left, top, width, height } = extent(found.sample), share2 = (value) => `${100 * value}%`;
    return {
      left: share2((x0 - left) / width),
      top: share2((y0 - top) / height),
      width: share2((x1 - x0) / width),
      height: share2((y1 - y0) / height)
    };
  }
  function Overlaid({ found, height, children }) {
    let canvas = T2(null), { sample } = found, drawn2 = extent(sample), ratio = drawn2.width * sample.size[0] / (drawn2.height * sample.size[1]);
    return F2(() => paint(canvas.current, found)), /* @__PURE__ */ a3("div", { class: "frame read", style: { aspectRatio: String(ratio), maxWidth: `${height * ratio}px` }, children: [
      /* @__PURE__ */ a3("div", { class: "ground", style: placed(found, [0, 0, 1, 1]), children: /* @__PURE__ */ a3("div", { style: { opacity: 1 - scaleOfMaps().pale }, children }) }),
      /* @__PURE__ */ a3("canvas", { ref: canvas, width: sample.columns, height: sample.rows, style: placed(found, sample.box) }),
      /* @__PURE__ */ a3(Marks, { found })
    ] });
  }
  function Marks({ found: { sample } }) {
    let { left, top, width, height } = extent(sample), read = inside(sample), hole = read && `M${read.x} ${read.y}v${read.height}h${read.width}v${-read.height}z`;
    return /* @__PURE__ */ a3("svg", { viewBox: `${left} ${top} ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", children: [
      hole && /* @__PURE__ */ a3("path", { class: "outside", d: `M0 0h1v1h-1z${hole}` }),
      sample.boxes.flatMap(
        ([x0, y0, x1, y1]) => ["halo", "box"].map((name) => /* @__PURE__ */ a3("rect", { class: name, x: x0, y: y0, width: x1 - x0, height: y1 - y0 }))
      )
    ] });
  }
  function Scale({ id }) {
    let canvas = T2(null);
    return F2(() => paintScale(canvas.current), []), /* @__PURE__ */ a3("div", { class: "scale", id, children: [
      /* @__PURE__ */ a3("span", { children: words.scale_of_maps }),
      /* @__PURE__ */ a3("div", { class: "bar", children: [
        /* @__PURE__ */ a3("canvas", { ref: canvas, width: 256, height: 1 }),
        ticks().map(([value, place]) => /* @__PURE__ */ a3("span", { class: "tick", style: { left: `${100 * place}%` }, children: value }))
      ] })
    ] });
  }

  // src/prompt.tsx
  var ROLES = ["bos", "system", "user", "image", "question"], LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  function textOf3(row, role) {
    let { template, wording } = page.prompt;
    return role === "system" ? wording?.system ?? (template ? filled("system_of_template", { template }) : "") : role === "image" ? samples.image[row] ?? "" : role === "question" ? asked2(row) : "";
  }
  function asked2(row) {
    let { suffix, wording } = page.prompt;
    if (wording) return wording.template;
    let options = (samples.options?.[row] ?? []).map((option, place) => `${LETTERS[place]}. ${option}`), text = [samples.hint?.[row], samples.question[row], ...options].filter(Boolean).join(`
`), end = suffix ?? "";
    return text.trimEnd().endsWith(end.trim()) ? text : text + end;
  }
  function Prompt({ row }) {
    let { tokens, wording } = page.prompt;
    return tokens ? /* @__PURE__ */ a3("details", { class: "prompt", id: "prompt", children: [
      /* @__PURE__ */ a3("summary", { children: words.whole_prompt }),
      /* @__PURE__ */ a3("dl", { children: ROLES.filter((role) => tokens[role][row]).map((role) => /* @__PURE__ */ a3($, { children: [
        /* @__PURE__ */ a3("dt", { children: [
          words[`role ${role}`],
          " ",
          /* @__PURE__ */ a3("span", { class: "small", children: filled("tokens_of_role", { number: digits(tokens[role][row], 0) }) })
        ] }),
        /* @__PURE__ */ a3("dd", { "data-role": role, children: /* @__PURE__ */ a3("bdi", { children: textOf3(row, role) }) })
      ] })) }),
      /* @__PURE__ */ a3("p", { class: "small", children: wording ? filled("prompt_of_wording", { name: wording.name }) : words.prompt_kept })
    ] }) : null;
  }

  // src/written.tsx
  var KEYS = {
    ArrowLeft: (place) => place - 1,
    ArrowRight: (place) => place + 1,
    Home: () => 0,
    End: (_3, last2) => last2
  }, TICKS = [0, 0.25, 0.5, 0.75, 1], LETTERS2 = 30, stepOf = (state2, run) => run === "a" ? state2.step : state2.stepB, atStep = (step2, run) => run === "a" ? { step: step2 } : { stepB: step2 }, idOf = (name, run) => run === "a" ? name : `${name}-b`;
  function shownHead(state2, run) {
    let cell = shownCell(state2, run);
    return state2.tokens === "head" && hasMasses(cell, run) ? cell : null;
  }
  function nameOfToken(row, step2, run) {
    let text = (tokensOf(row, run)?.[step2] ?? "").replaceAll(`
`, "↵").trim();
    return clipped(text, LETTERS2) || words.special_token;
  }
  function Written({ state: state2, run }) {
    let row = state2.sample, text = (run === "a" ? samples : page.second)?.text?.[row] ?? null;
    if (text === null) return null;
    let pieces = tokensOf(row, run), rows = textsOf(run)?.rows, title = idOf("written-title", run);
    return /* @__PURE__ */ a3("section", { class: "written", "aria-labelledby": title, children: [
      /* @__PURE__ */ a3("h3", { id: title, children: [
        page.second && run.toUpperCase() + words.colon,
        words.wrote
      ] }),
      pieces ? /* @__PURE__ */ a3(Tokens, { pieces, state: state2, run }) : /* @__PURE__ */ a3("p", { class: "plain-text", children: text }),
      rows && !rows.includes(row) && /* @__PURE__ */ a3("p", { class: "small", children: filled("no_tokens_here", { shown: rows.length, number: numberOfTexts(run) }) })
    ] });
  }
  function Tokens({ pieces, state: state2, run }) {
    let row = state2.sample, step2 = stepOf(state2, run), place = T2(null), { every, cells: cells2 } = textsOf(run), head = shownHead(state2, run), end = endOfScale((each) => shownHead(state2, each), state2.tokenScale === "all"), press = (event) => {
      let move = KEYS[event.key], at = [...place.current.children].indexOf(event.target.closest("button"));
      if (!move || at < 0) return;
      event.preventDefault(), event.stopPropagation();
      let next = Math.max(0, Math.min(pieces.length - 1, move(at, pieces.length - 1)));
      place.current.children[next].focus(), go(atStep(next, run), "step");
    };
    return /* @__PURE__ */ a3($, { children: [
      state2.tokens === "head" && head === null && /* @__PURE__ */ a3("p", { class: "note", id: idOf("no-masses", run), children: [
        filled("by_mean_instead", { head: shortName(shownCell(state2, run), run), number: numberOfHeads(run) }),
        /* @__PURE__ */ a3(LinksToHeads, { cells: cells2, run })
      ] }),
      /* @__PURE__ */ a3(
        "div",
        {
          class: "tokens",
          id: idOf("tokens", run),
          role: "group",
          "aria-labelledby": idOf("written-title", run),
          ref: place,
          onKeyDown: press,
          children: pieces.map((_3, each) => /* @__PURE__ */ a3(Token, { step: each, state: state2, run, head, end, first: each === Math.max(step2, 0) }, each))
        }
      ),
      /* @__PURE__ */ a3("p", { class: "small", children: filled("ends", { end: words[`ended_${endedOf(row, run)}`] }) }),
      /* @__PURE__ */ a3(LargestFall, { row, head, steps: pieces.length, run }),
      run === "a" && /* @__PURE__ */ a3(ScaleAndMenus, { state: state2, end }),
      /* @__PURE__ */ a3("p", { class: "definition", hidden: run === "b", children: [
        words.tokens_help,
        every > 1 && ` ${filled("tokens_every", { every })}`
      ] })
    ] });
  }
  var endedOf = (row, run) => (run === "a" ? samples : page.second)?.ended?.[row] ?? "stop";
  function ScaleAndMenus({ state: state2, end }) {
    let { cell } = state2;
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(ScaleOfTokens, { end }),
      /* @__PURE__ */ a3("div", { class: "controls", children: [
        /* @__PURE__ */ a3(
          Select,
          {
            id: "tokens-by",
            label: "tokens_by",
            value: state2.tokens,
            choices: [
              ["head", filled("by_head", { head: shortName(cell) })],
              ["mean", filled("by_mean", { number: numberOfHeads() })]
            ],
            onChoose: (value) => go({ tokens: value })
          }
        ),
        /* @__PURE__ */ a3(
          Select,
          {
            id: "tokens-scale",
            label: "scale_ends",
            value: state2.tokenScale,
            choices: [
              ["all", words.end_all],
              ["own", words.end_own]
            ],
            onChoose: (value) => go({ tokenScale: value })
          }
        )
      ] })
    ] });
  }
  function LargestFall({ row, head, steps: steps2, run }) {
    let { every } = textsOf(run), found = null;
    for (let step3 = every; step3 < steps2; step3 += every) {
      let [before2, after2] = [step3 - every, step3].map((each) => massAt(row, each, head, run));
      before2 - after2 > (found ? found.before - found.after : 0) && (found = { step: step3, before: before2, after: after2 });
    }
    if (!found) return null;
    let { step: step2, before, after } = found, values2 = { text: nameOfToken(row, step2, run), step: step2, before: digits(before, 3), after: digits(after, 3) };
    return /* @__PURE__ */ a3("p", { class: "small", id: idOf("falls-most", run), children: /* @__PURE__ */ a3(Link, { text: filled("falls_most", values2), onClick: () => go(atStep(step2, run)) }) });
  }
  function Token({ step: step2, state: state2, run, head, end, first }) {
    let { sample: row } = state2, chosen = stepOf(state2, run), text = tokensOf(row, run)[step2], mass = massAt(row, step2, head, run), known = !Number.isNaN(mass), values2 = { text: nameOfToken(row, step2, run), step: step2, value: digits(mass, 3) }, label = filled(known ? "token_of" : "token_without", values2);
    return /* @__PURE__ */ a3(
      "button",
      {
        type: "button",
        class: `token${/^\s/.test(text) ? " apart" : ""}`,
        "data-step": step2,
        tabIndex: first ? 0 : -1,
        "aria-label": label,
        title: label,
        "aria-pressed": step2 === chosen,
        style: known ? shadeOf(mass, end) : {},
        onClick: () => go(atStep(step2 === chosen ? -1 : step2, run)),
        children: text.trim() || (text.includes(`
`) ? "↵" : "·")
      }
    );
  }
  function ScaleOfTokens({ end }) {
    let colours = Array.from({ length: 9 }, (_3, place) => shadeOf(end * place / 8, end).background);
    return /* @__PURE__ */ a3("div", { class: "scale", id: "scale-of-tokens", children: [
      /* @__PURE__ */ a3("span", { children: words.scale_of_tokens }),
      /* @__PURE__ */ a3("div", { class: "bar", children: [
        /* @__PURE__ */ a3("div", { class: "gradient", style: { background: `linear-gradient(to right, ${colours.join(", ")})` } }),
        TICKS.map((share2) => /* @__PURE__ */ a3("span", { class: "tick", style: { left: `${100 * share2}%` }, children: Number((share2 * end).toPrecision(2)) }))
      ] })
    ] });
  }
  function OfStep({ state: state2, run }) {
    let row = state2.sample, cell = shownCell(state2, run), step2 = stepOf(state2, run), head = shownHead(state2, run), mass = massAt(row, step2, head, run), said = head === null ? "step_mean" : "step_mass";
    return /* @__PURE__ */ a3("div", { class: "of-step", id: idOf("of-step", run), "aria-live": "polite", children: [
      /* @__PURE__ */ a3("p", { children: [
        /* @__PURE__ */ a3("b", { children: filled("step_shown", { step: step2, text: nameOfToken(row, step2, run) }) }),
        " ",
        /* @__PURE__ */ a3("button", { type: "button", id: idOf("to-prompt", run), onClick: () => go(atStep(-1, run)), children: words.to_prompt })
      ] }),
      /* @__PURE__ */ a3("p", { class: "small", children: [
        filled(said, { head: shortName(cell, run), number: numberOfHeads(run), step: step2, value: digits(mass, 3) }),
        words.stop
      ] }),
      !Number.isNaN(mass) && /* @__PURE__ */ a3(WhyNoMap, { row, cell, run })
    ] });
  }
  function WhyNoMap({ row, cell, run }) {
    let { mapped, mapped_there, mapped_rows } = textsOf(run);
    return mapped_there ? hasStepMaps(row, run) ? mapped.includes(cell) ? null : /* @__PURE__ */ a3("p", { class: "small", children: [
      filled("step_map_of_others", { head: shortName(cell, run) }),
      /* @__PURE__ */ a3(LinksToHeads, { cells: mapped, run })
    ] }) : /* @__PURE__ */ a3("p", { class: "small", children: filled("no_step_map_here", { shown: mapped_rows.length, number: numberOfTexts(run) }) }) : /* @__PURE__ */ a3("p", { class: "small", id: idOf("no-step-maps", run), children: words.no_step_maps });
  }

  // src/drawer.tsx
  var [LARGE, SMALL] = [520, 96], STEPS2 = { ArrowLeft: -1, ArrowRight: 1 };
  function Drawer({ state: state2 }) {
    return state2.sample < 0 ? null : /* @__PURE__ */ a3(Opened, { state: state2 });
  }
  var hasText = (row) => !!(samples.text?.[row] ?? page.second?.text?.[row]), close = () => state().sample >= 0 && go({ sample: -1 });
  function Opened({ state: state2 }) {
    let dialog = T2(null);
    F2(() => {
      let own2 = dialog.current;
      return own2.showModal(), () => own2.close();
    }, []);
    let own = listed(state2), rows = own.includes(state2.sample) ? own : [...samples.id.keys()], place = rows.indexOf(state2.sample), step2 = (by) => rows[place + by] !== void 0 && go({ sample: rows[place + by] }, "sample");
    return /* @__PURE__ */ a3(
      "dialog",
      {
        ref: dialog,
        class: "drawer",
        "aria-labelledby": "drawer-title",
        onKeyDown: (event) => {
          !(event.key in STEPS2) || event.target.closest("select, input") || (event.preventDefault(), step2(STEPS2[event.key]));
        },
        onCancel: (event) => {
          event.preventDefault(), close();
        },
        onClick: (event) => event.target === dialog.current && close(),
        children: /* @__PURE__ */ a3("div", { class: "inside", children: [
          /* @__PURE__ */ a3(Missing, {}),
          /* @__PURE__ */ a3("div", { class: "controls", children: [
            /* @__PURE__ */ a3("h2", { id: "drawer-title", "aria-live": "polite", children: filled("sample_of", { place: place + 1, number: rows.length }) }),
            /* @__PURE__ */ a3("button", { type: "button", id: "drawer-earlier", disabled: place === 0, onClick: () => step2(-1), children: words.previous }),
            /* @__PURE__ */ a3("button", { type: "button", id: "drawer-later", disabled: place === rows.length - 1, onClick: () => step2(1), children: words.next }),
            /* @__PURE__ */ a3("button", { type: "button", id: "drawer-close", onClick: close, children: words.close }),
            /* @__PURE__ */ a3("span", { class: "small", children: words.drawer_keys })
          ] }),
          /* @__PURE__ */ a3("div", { class: `split sides${hasText(state2.sample) ? " with-text" : ""}`, children: [
            /* @__PURE__ */ a3("div", { children: [
              /* @__PURE__ */ a3("div", { class: page.second ? "both" : "", children: [
                /* @__PURE__ */ a3("div", { children: [
                  page.second && /* @__PURE__ */ a3("h3", { children: "A" }),
                  /* @__PURE__ */ a3(Picture, { row: state2.sample, cell: state2.overlay ? state2.cell : null, height: LARGE, step: state2.step }),
                  state2.step < 0 ? /* @__PURE__ */ a3("p", { class: "small", children: /* @__PURE__ */ a3(OfHead, { state: state2 }) }) : /* @__PURE__ */ a3(OfStep, { state: state2, run: "a" })
                ] }),
                page.second && /* @__PURE__ */ a3(InB, { state: state2 })
              ] }),
              (page.maps || hasStepMaps(state2.sample) || hasStepMaps(state2.sample, "b")) && state2.overlay && /* @__PURE__ */ a3(Scale, { id: "drawer-scale" })
            ] }),
            /* @__PURE__ */ a3("div", { class: "text", children: [
              /* @__PURE__ */ a3(Said, { row: state2.sample }),
              /* @__PURE__ */ a3(Prompt, { row: state2.sample })
            ] }),
            /* @__PURE__ */ a3("div", { class: "text", children: [
              /* @__PURE__ */ a3(Written, { state: state2, run: "a" }),
              page.second && /* @__PURE__ */ a3(Written, { state: state2, run: "b" })
            ] })
          ] }),
          /* @__PURE__ */ a3(Layer, { state: state2 })
        ] })
      }
    );
  }
  function OfHead({ state: state2 }) {
    let measure = measureOf(state2.measure), value = knownValues(state2.measure, state2.cell)(state2.sample), on = value === void 0 ? words.value_elsewhere : written(measure, value), all = written(measure, mean(state2.measure, state2.cell, 0));
    return /* @__PURE__ */ a3($, { children: filled("head_on_sample", { head: headName(state2.cell), measure: measure.label, value: on, mean: all }) });
  }
  function InB({ state: state2 }) {
    let { sample, measure: key, overlay, stepB: step2 } = state2, cell = shownCell(state2, "b"), measure = measureOf(key), value = valuesOfB(key, cell)?.(sample) ?? NaN, mapped = overlay && mapAtStep(sample, cell, step2, "b") !== null, mass = massOf(sample, cell, "b");
    return /* @__PURE__ */ a3("div", { id: "drawer-b", children: [
      /* @__PURE__ */ a3("h3", { children: "B" }),
      inB(sample) ? /* @__PURE__ */ a3($, { children: [
        mapped && /* @__PURE__ */ a3(Picture, { row: sample, cell, height: LARGE, run: "b", step: step2 }),
        step2 < 0 && state2.step >= 0 && /* @__PURE__ */ a3("p", { class: "small", children: words.prompt_of_b }),
        overlay && !mapped && step2 < 0 && /* @__PURE__ */ a3("p", { class: "small", children: [
          words.no_map_in_b,
          " ",
          mass !== void 0 && filled("mass_here", { head: shortName(cell, "b"), mass: nameOfMass(), value: digits(mass, 3) })
        ] }),
        step2 < 0 && !Number.isNaN(value) && /* @__PURE__ */ a3("p", { class: "small", children: filled("value_in_b", { measure: measure.label, value: written(measure, value) }) })
      ] }) : /* @__PURE__ */ a3("p", { class: "small", children: words.not_in_b }),
      step2 >= 0 && /* @__PURE__ */ a3(OfStep, { state: state2, run: "b" }),
      inB(sample) && !sameShape() && /* @__PURE__ */ a3(HeadOfB, { state: state2 }),
      /* @__PURE__ */ a3(SaidByB, { row: sample })
    ] });
  }
  function HeadOfB({ state: { sample, cellB, measure } }) {
    let { layers: layers2, heads: heads2, values: values2 } = page.second, maps = evidence(sample, "b")?.data.cells ?? [], cells2 = /* @__PURE__ */ new Set([...maps.length ? maps : values2[measure] ?? [], cellB]);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("p", { class: "small", children: filled("other_heads_in_b", { layers: layers2.length, heads: heads2 }) }),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "drawer-head-b",
          label: "head",
          value: cellB,
          choices: [...cells2].sort((one, other) => one - other).map((cell) => [cell, shortName(cell, "b")]),
          onChoose: (cell) => go({ cellB: Number(cell) })
        }
      )
    ] });
  }
  function Layer({ state: state2 }) {
    let layer = Math.floor(state2.cell / heads), cells2 = Array.from({ length: heads }, (_3, head) => layer * heads + head), { sample, step: step2 } = state2, shown = cells2.filter((cell) => mapAtStep(sample, cell, step2)).length;
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("div", { class: "controls", children: [
        /* @__PURE__ */ a3("h3", { children: step2 < 0 ? words.heads_of_layer : filled("heads_of_layer_at", { step: step2 }) }),
        /* @__PURE__ */ a3(
          Select,
          {
            id: "drawer-layer",
            label: "layer",
            value: layer,
            choices: layers.map((number, place) => [place, String(number)]),
            onChoose: (value) => go({ cell: Number(value) * heads + headOf(state2.cell) })
          }
        )
      ] }),
      shown < heads && /* @__PURE__ */ a3("p", { class: "definition", children: filled("maps_of_layer", { shown, number: heads }) }),
      /* @__PURE__ */ a3("ul", { class: "tiles-of-heads", id: "tiles", children: cells2.map((cell) => /* @__PURE__ */ a3(Tile, { cell, state: state2 }, cell)) })
    ] });
  }
  function Tile({ cell, state: state2 }) {
    let { sample: row, step: step2 } = state2, mass = step2 < 0 ? massOf(row, cell) ?? NaN : massAt(row, step2, cell), name = nameOfMassAt(step2), said = Number.isNaN(mass) ? filled("mass_elsewhere", { mass: name }) : `${name} ${digits(mass, 3)}`;
    return /* @__PURE__ */ a3("li", { children: /* @__PURE__ */ a3("button", { type: "button", "data-cell": cell, "aria-pressed": cell === state2.cell, onClick: () => go({ cell }), children: [
      mapAtStep(row, cell, step2) && /* @__PURE__ */ a3(Framed, { row, cell, height: SMALL, alt: "", step: step2 }),
      /* @__PURE__ */ a3("b", { children: shortName(cell) }),
      /* @__PURE__ */ a3("span", { class: "small", children: said })
    ] }) });
  }

  // src/scatter.tsx
  var across = (state2) => state2.across || page.measure, up = (state2) => {
    let others = page.measures.filter((each) => each.key !== page.measure), [first] = ["mattering", "contributing", "looking"].flatMap((kind) => others.filter((each) => each.kind === kind));
    return state2.up || (first ?? page.measures[0]).key;
  };
  function titleOf(key, state2) {
    return key === "localisation" ? words.localising : key === "reliability" ? filled("scatter_sure", { measure: measureOf(state2.measure).label }) : measureOf(key).label;
  }
  function valueOf2(key, cell, state2) {
    if (key === "localisation" || key === "reliability") {
      let value = array(key === "localisation" ? key : `${state2.measure}/steady`)[cell];
      return [value, value, value];
    }
    return [mean(key, cell, 0), ...interval(measureOf(key), cell)];
  }
  function Scatter({ state: state2 }) {
    let [x2, y3] = [across(state2), up(state2)], titles = { x: titleOf(x2, state2), y: titleOf(y3, state2) }, points = w2(() => [...Array(cells).keys()].map((cell) => {
      let [[own, low_x, high_x], [other, low_y, high_y]] = [x2, y3].map((key) => valueOf2(key, cell, state2));
      return { cell, name: shortName(cell), layer: layerOf(cell), x: own, y: other, low_x, high_x, low_y, high_y };
    }).filter((point) => !Number.isNaN(point.x) && !Number.isNaN(point.y)), [x2, y3, state2.measure]), bars2 = state2.spread ? points.filter((point) => [point.low_x, point.low_y].every((each) => !Number.isNaN(each))) : [], data = w2(() => ({ points, bars: bars2 }), [points, state2.spread]), select = ({ x: x3, y: y4 }) => {
      let inside2 = (value, [low, high]) => value >= Math.min(low, high) && value <= Math.max(low, high), selected = (x3 && y4 ? points.filter((point) => inside2(point.x, x3) && inside2(point.y, y4)) : []).map((point) => point.name).join(",");
      selected !== state2.selected && go({ selected }, "brush");
    }, choices = [
      ...page.measures.map((each) => [each.key, each.label]),
      ["reliability", titleOf("reliability", state2)],
      ...page.localised ? [["localisation", words.localising]] : []
    ], number = state2.selected ? state2.selected.split(",").length : 0;
    return /* @__PURE__ */ a3("div", { id: "scatter-part", onKeyDown: (event) => event.key === "Escape" && number > 0 && go({ selected: "" }, "brush"), children: [
      /* @__PURE__ */ a3("h3", { children: words.scatter }),
      /* @__PURE__ */ a3("div", { class: "controls", children: [
        /* @__PURE__ */ a3(Select, { id: "across", label: "scatter_x", value: x2, choices, onChoose: (key) => go({ across: key }) }),
        /* @__PURE__ */ a3(Select, { id: "up", label: "scatter_y", value: y3, choices, onChoose: (key) => go({ up: key }) }),
        /* @__PURE__ */ a3("label", { class: "check", children: [
          /* @__PURE__ */ a3("input", { type: "checkbox", id: "spread", checked: state2.spread, onChange: () => go({ spread: !state2.spread }) }),
          " ",
          words.scatter_intervals
        ] })
      ] }),
      /* @__PURE__ */ a3(Printed, { parts: [["scatter_x", titles.x], ["scatter_y", titles.y]] }),
      /* @__PURE__ */ a3(
        Figure,
        {
          name: "scatter",
          label: `${titles.x}${words.comma}${titles.y}`,
          data,
          titles,
          parts: [x2, y3].map((key) => key.replace(/^.*\//, "")),
          onPick: choose,
          onBrush: select,
          children: /* @__PURE__ */ a3("figcaption", { children: [
            words.scatter_help,
            " ",
            words.sure_help,
            " ",
            page.localised && filled("localising_of", { number: page.localised }),
            " ",
            /* @__PURE__ */ a3("b", { id: "selected", "aria-live": "polite", children: number > 0 && counted("selected", number) })
          ] })
        }
      )
    ] });
  }

  // src/heads.tsx
  var MOST_NAMED2 = 10, PALE = 0.35, STEPS3 = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1]
  }, overAll = (text, category) => category ? filled("of_all_categories", { text }) : text, here = (text, category) => category ? text + words.colon + categoryName(category) : text;
  function Heads({ state: state2 }) {
    let measure = measureOf(state2.measure), highest = w2(() => order(state2.measure, state2.category), [state2.measure, state2.category]);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(ShownHeads, { state: state2 }),
      /* @__PURE__ */ a3(Controls, { state: state2, measure }),
      /* @__PURE__ */ a3("p", { class: "definition", id: "definition", children: words[`define_${measure.kind}`] }),
      /* @__PURE__ */ a3(Whose, { measure }),
      !ofKind("contributing").length && /* @__PURE__ */ a3("p", { class: "definition", children: words.missing_contributing }),
      !ofKind("mattering").length && /* @__PURE__ */ a3("p", { class: "definition", children: words.missing_mattering }),
      /* @__PURE__ */ a3("div", { class: "split", children: [
        /* @__PURE__ */ a3("div", { children: [
          /* @__PURE__ */ a3(HeadMap, { state: state2, measure, highest }),
          /* @__PURE__ */ a3(Dots, { state: state2, measure }),
          /* @__PURE__ */ a3("h3", { children: here(words.highest, state2.category) }),
          /* @__PURE__ */ a3(Chips, { id: "highest", state: state2, measure, named: highest.slice(0, MOST_NAMED2) }),
          /* @__PURE__ */ a3("div", { id: "lowest-heads", hidden: !measure.signed, children: [
            /* @__PURE__ */ a3("h3", { children: here(words.lowest, state2.category) }),
            /* @__PURE__ */ a3(Chips, { id: "lowest", state: state2, measure, named: highest.slice(MOST_NAMED2).slice(-MOST_NAMED2).reverse() })
          ] }),
          /* @__PURE__ */ a3("h3", { children: [
            overAll(words.top, state2.category),
            words.colon,
            /* @__PURE__ */ a3("span", { class: "head-name", children: shortName(state2.cell) })
          ] }),
          /* @__PURE__ */ a3(TopSamples, { cell: state2.cell, measure })
        ] }),
        /* @__PURE__ */ a3(Chosen, { state: state2, measure })
      ] }),
      /* @__PURE__ */ a3(Scatter, { state: state2 })
    ] });
  }
  function Whose({ measure }) {
    let own = measure.queries || "all";
    return !page.maps || own === page.maps.of ? null : /* @__PURE__ */ a3("p", { class: "note", id: "whose", children: filled("whose", { maps: words[`of_${page.maps.of}`], measure: words[`of_${own}`] }) });
  }
  function Controls({ state: state2, measure }) {
    let tab = (kind) => {
      let there = ofKind(kind).length > 0, show = () => kind !== measure.kind && go({ measure: firstOfKind(kind).key });
      return /* @__PURE__ */ a3(
        "button",
        {
          type: "button",
          "data-kind": kind,
          "aria-pressed": kind === measure.kind,
          disabled: !there,
          title: there ? void 0 : words.not_in_run,
          onClick: show,
          children: words[kind]
        }
      );
    };
    return /* @__PURE__ */ a3("div", { class: "controls", children: [
      /* @__PURE__ */ a3("div", { class: "tabs", role: "group", "aria-label": words.measure, children: page.kinds.map(tab) }),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "measure",
          label: "measure",
          value: state2.measure,
          choices: ofKind(measure.kind).map((each) => [each.key, each.label]),
          onChoose: (key) => go({ measure: key })
        }
      ),
      /* @__PURE__ */ a3(Define, { name: measure.label, texts: [measure.meaning] }),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "category",
          label: "category",
          value: state2.category,
          choices: [words.all, ...categories].map((name, place) => [place, name]),
          onChoose: (value) => go({ category: Number(value) })
        }
      ),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "shade",
          label: "colour",
          value: state2.shade,
          choices: [
            ["value", words.by_value],
            ["rank", words.by_rank]
          ],
          onChoose: (value) => go({ shade: value })
        }
      ),
      state2.shade === "value" && categories.length > 1 && /* @__PURE__ */ a3(
        Select,
        {
          id: "scale",
          label: "scale",
          value: state2.scale,
          choices: [
            ["shared", words.scale_shared],
            ["own", words.scale_own]
          ],
          onChoose: (value) => go({ scale: value })
        }
      )
    ] });
  }
  function byValue({ key }, category, highest, scale) {
    let row = scale === "own" ? category + 1 : 0, value = (cell) => mean(key, cell, category);
    return { ...scaleOf(array(`${key}/ends`).subarray(2 * row, 2 * row + 2), highest.map(value)), shade: value };
  }
  function byRank({ key, signed }, category, highest) {
    let last2 = highest.length, middle = highest.findIndex((cell) => mean(key, cell, category) < 0), labels = [`${words.rank} ${last2}`, `${words.rank} 1`];
    if (!signed)
      return { low: -last2, high: -1, ticks: [-last2, -1], labels, beyond: 0, shade: (_3, place) => -1 - place };
    let positive = middle < 0 ? last2 : middle, high = Math.max(positive, last2 - positive, 1), shade = (_3, place) => positive - place - (place >= positive ? 1 : 0);
    return { low: -high, high, ticks: [positive - last2, positive], labels, beyond: 0, shade };
  }
  function placeAfter({ key, ctrlKey }, layer, head) {
    if (key === "Home") return [ctrlKey ? 0 : layer, 0];
    if (key === "End") return [ctrlKey ? layers.length - 1 : layer, heads - 1];
    let step2 = STEPS3[key];
    return step2 ? [layer + step2[0], head + step2[1]] : null;
  }
  function HeadMap({ state: state2, measure, highest }) {
    let { category, cell: chosen, shade, scale } = state2, value = (cell) => written(measure, mean(measure.key, cell, category)), shading = w2(
      () => (shade === "value" ? byValue : byRank)(measure, category, highest, scale),
      [measure, category, shade, scale]
    ), rows = w2(() => highest.map((cell, place) => ({
      cell,
      layer: layerOf(cell),
      head: headOf(cell),
      shade: shading.shade(cell, place),
      told: category > 0 || clear(measure, cell),
      value: mean(measure.key, cell, category),
      text: value(cell),
      interval: category ? "–" : writtenInterval(measure, interval(measure, cell)),
      rank: place + 1
    })).sort((one, other) => one.cell - other.cell), [shading]), picked = w2(() => {
      let names2 = state2.selected.split(",");
      return rows.filter((row) => names2.includes(shortName(row.cell))).map(({ layer, head }) => ({ layer, head }));
    }, [rows, state2.selected]), data = w2(
      () => ({ cells: rows, chosen: [{ layer: layerOf(chosen), head: headOf(chosen) }], picked }),
      [rows, chosen, picked]
    ), signals = w2(() => {
      let { low, high, ticks: ticks2, labels } = shading;
      return { low, high, ticks: ticks2, labels, grey: grey(), fade: category === 0 && measure.sure.pale ? PALE : 1 };
    }, [shading, scheme()]), first = highest.slice(0, 3).map((cell) => `${headName(cell)} ${value(cell)}`), label = [measure.label, words.comma, categoryName(category), words.stop, words.highest, words.colon], step2 = (event) => {
      let place = placeAfter(event, Math.floor(chosen / heads), chosen % heads);
      if (!place) return;
      event.preventDefault();
      let [layer, head] = place;
      layer >= 0 && layer < layers.length && head >= 0 && head < heads && go({ cell: layer * heads + head }, "arrow");
    };
    return /* @__PURE__ */ a3(
      Figure,
      {
        id: "map",
        parts: [measure.name, ...category ? [categoryName(category)] : []],
        name: measure.signed ? "map_signed" : "map",
        label: label.join("") + first.join(words.semicolon),
        data,
        signals,
        onPick: choose,
        plot: { tabIndex: 0, "aria-describedby": "keys-help", onKeyDown: step2 },
        children: /* @__PURE__ */ a3("figcaption", { children: [
          /* @__PURE__ */ a3("span", { id: "keys-help", children: words.keys_help }),
          " ",
          /* @__PURE__ */ a3("span", { id: "beyond", children: shading.beyond > 0 && filled("beyond", { number: shading.beyond, of: highest.length }) }),
          measure.signed && category > 0 && /* @__PURE__ */ a3("p", { id: "untested", children: words.untested_category }),
          measure.signed && category === 0 && /* @__PURE__ */ a3("p", { id: "grey-note", children: [
            /* @__PURE__ */ a3("span", { class: "swatch", style: { background: grey() } }),
            words.grey_heads,
            " ",
            /* @__PURE__ */ a3("span", { id: "told", children: measure.sure.told })
          ] }),
          category === 0 && measure.sure.order && /* @__PURE__ */ a3("p", { class: "note", id: "order-note", children: measure.sure.order })
        ] })
      }
    );
  }
  function Dots({ state: state2, measure }) {
    let data = w2(() => ({ dots: dotted(measure).map((cell, order2) => {
      let [low, high] = interval(measure, cell), [lowest, highest] = interval(measure, cell, !0);
      return {
        order: order2,
        cell,
        name: shortName(cell),
        value: mean(measure.key, cell, 0),
        low,
        high,
        lowest,
        highest,
        told: clear(measure, cell),
        text: written(measure, mean(measure.key, cell, 0)),
        interval: writtenInterval(measure, [low, high]),
        corrected: writtenInterval(measure, [lowest, highest])
      };
    }) }), [measure]), signals = w2(
      () => ({ grey: grey(), accent: colour("accent"), picked: state2.cell }),
      [state2.cell, scheme()]
    ), title = overAll(words[measure.signed ? "surest" : "highest"], state2.category);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("h3", { children: title }),
      measure.sure.lead.map((line) => /* @__PURE__ */ a3("p", { class: "definition lead-note", children: /* @__PURE__ */ a3(WithHeads, { text: line, measure: measure.key }) })),
      /* @__PURE__ */ a3(
        Figure,
        {
          id: "dots",
          parts: [measure.name],
          name: measure.signed ? "dots_signed" : "dots",
          label: title,
          data,
          signals,
          onPick: choose,
          children: /* @__PURE__ */ a3("figcaption", { children: words.dots_help })
        }
      )
    ] });
  }
  function Chips({ id, state: state2, measure, named }) {
    return /* @__PURE__ */ a3("div", { class: "chips", id, children: named.map((cell) => /* @__PURE__ */ a3(
      "button",
      {
        type: "button",
        "data-cell": cell,
        "aria-pressed": cell === state2.cell,
        onClick: ({ detail }) => detail ? choose({ cell }) : go({ cell }),
        children: `${shortName(cell)}  ${written(measure, mean(measure.key, cell, state2.category))}`
      },
      cell
    )) });
  }
  function TopSamples({ cell, measure }) {
    let { key, kept } = measure, places = [...Array(kept).keys()].map((each) => cell * kept + each), top = array(`${key}/top`), values2 = array(`${key}/values`);
    return /* @__PURE__ */ a3("ol", { class: "top", id: "top", children: places.filter((place) => top[place] > 0).map((place) => {
      let row = top[place] - 1;
      return /* @__PURE__ */ a3("li", { "data-sample": samples.id[row], children: [
        /* @__PURE__ */ a3("b", { children: written(measure, values2[place]) }),
        " ",
        /* @__PURE__ */ a3(Opener, { row }),
        /* @__PURE__ */ a3("span", { class: "small", children: [
          " ",
          categories[samples.category[row]]
        ] })
      ] }, row);
    }) });
  }
  function WrongSamples({ cell }) {
    let number = samples.right.filter((right) => right === 0).length;
    if (!number) return null;
    let address = `#answer=wrong&samples-of=&state=&search=&page=1&sort=first&maps=yes&at=samples${page.images ? "&view=cards" : ""}`;
    return /* @__PURE__ */ a3("p", { class: "small", id: "wrong-samples", children: /* @__PURE__ */ a3("a", { href: address, children: filled("wrong_samples", { head: shortName(cell), number }) }) });
  }
  function Chosen({ state: state2, measure }) {
    return /* @__PURE__ */ a3("div", { class: "detail", id: "detail", children: [
      /* @__PURE__ */ a3("h3", { id: "head-name", "aria-live": "polite", children: headName(state2.cell) }),
      /* @__PURE__ */ a3("p", { class: "definition", id: "measure-name", children: measure.label }),
      /* @__PURE__ */ a3(Numbers, { state: state2, measure }),
      page.maps && /* @__PURE__ */ a3(WrongSamples, { cell: state2.cell }),
      /* @__PURE__ */ a3("h4", { children: overAll(words.histogram, state2.category) }),
      /* @__PURE__ */ a3("p", { class: "key", children: [
        /* @__PURE__ */ a3("span", { class: "swatch own" }),
        words.this_head,
        " ",
        /* @__PURE__ */ a3("span", { class: "swatch quiet" }),
        words.all_heads,
        " ",
        /* @__PURE__ */ a3("span", { id: "signed-note", hidden: !measure.signed, children: words.histogram_signed })
      ] }),
      /* @__PURE__ */ a3(Histogram, { cell: state2.cell, measure }),
      /* @__PURE__ */ a3("h4", { children: words.profile }),
      /* @__PURE__ */ a3(Profile, { cell: state2.cell, measure })
    ] });
  }
  function Numbers({ state: state2, measure }) {
    let { cell, category } = state2, { key, reliability } = measure, number = (value) => written(measure, value), inCategory = () => filled("in_category", { value: number(mean(key, cell, category)), category: categoryName(category) }), halves = [0, 1].map((half) => array(`${key}/halves`)[half * cells + cell]), rows = [
      ["mean_all", "mean", number(mean(key, cell, 0))],
      ["interval", "interval", writtenInterval(measure, interval(measure, cell))],
      ["interval_corrected", "corrected", writtenInterval(measure, interval(measure, cell, !0))]
    ];
    category && rows.push(["mean_here", "here", inCategory()]), rows.push(["rank", "rank", overAll(filled("rank_of", { rank: array(`${key}/ranks`)[cell], number: cells }), category)]), halves.every(Boolean) && rows.push(["rank_halves", "halves", halves.join(" · ")]), rows.push(["reliability", "reliability", digits(reliability, 3)]);
    let meanings = {
      mean: [measure.meaning, words[`define_${measure.kind}`]],
      interval: [words.define_interval],
      halves: [words.define_halves],
      reliability: [words.define_reliability]
    };
    return /* @__PURE__ */ a3("dl", { class: "numbers", id: "numbers", children: rows.map(([name, id, text]) => /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("dt", { children: [
        words[name],
        id in meanings && /* @__PURE__ */ a3(Define, { name: words[name], texts: meanings[id] })
      ] }),
      /* @__PURE__ */ a3("dd", { "data-number": id, children: text })
    ] })) });
  }
  function Histogram({ cell, measure }) {
    let data = w2(() => {
      let bins = array(`${measure.key}/bins`), size = measure.edges.length - 1, shares = (first, last2) => {
        let counts = Array(size).fill(0);
        for (let place = first * size; place < last2 * size; place++) counts[place % size] += bins[place];
        let total = counts.reduce((sum, count) => sum + count, 0) || 1;
        return counts.map((count, place) => ({
          left: measure.edges[place],
          right: measure.edges[place + 1],
          place: measure.positions[place],
          place_end: measure.positions[place + 1],
          share: count / total
        }));
      };
      return { all: shares(0, cells), own: shares(cell, cell + 1) };
    }, [cell, measure]), signals = w2(() => {
      let [ticks2, labels] = [0, 1].map((part) => measure.ticks.map((tick) => tick[part]));
      return { ticks: ticks2, labels };
    }, [measure]);
    return /* @__PURE__ */ a3(Figure, { name: "histogram", parts: [measure.name, shortName(cell)], label: words.histogram, data, signals });
  }
  function Profile({ cell, measure }) {
    let rows = w2(() => {
      let means = array(`${measure.key}/means`);
      return categories.map((category, place) => {
        let own = [...means.subarray((place + 1) * cells, (place + 2) * cells)], known = own.filter((value) => !Number.isNaN(value)), all = known.reduce((sum, value) => sum + value, 0) / known.length;
        return { category, value: own[cell], all, text: written(measure, own[cell]), all_text: written(measure, all) };
      });
    }, [cell, measure]), data = w2(() => ({ profile: rows.filter((row) => !Number.isNaN(row.value)) }), [rows]);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(Figure, { name: "profile", parts: [measure.name, shortName(cell)], label: words.profile, data }),
      /* @__PURE__ */ a3("details", { children: [
        /* @__PURE__ */ a3("summary", { children: words.table }),
        /* @__PURE__ */ a3("div", { class: "wide", children: /* @__PURE__ */ a3("table", { children: [
          /* @__PURE__ */ a3("thead", { children: /* @__PURE__ */ a3("tr", { children: ["category", "this_head", "all_heads"].map((name) => /* @__PURE__ */ a3("th", { scope: "col", children: words[name] })) }) }),
          /* @__PURE__ */ a3("tbody", { id: "profile-table", children: rows.map((row) => /* @__PURE__ */ a3("tr", { "data-category": row.category, children: [
            /* @__PURE__ */ a3("th", { scope: "row", children: row.category }),
            /* @__PURE__ */ a3("td", { children: row.text }),
            /* @__PURE__ */ a3("td", { children: row.all_text })
          ] })) })
        ] }) })
      ] })
    ] });
  }

  // src/overflow.ts
  var REGIONS = "#contents, .wide, .cards, .chips, .verdict ul, .text p";
  function mark(regions) {
    let hidden = regions.map((region) => {
      let right = region.scrollWidth - region.clientWidth, down = region.scrollHeight - region.clientHeight;
      return { right, down, moreRight: right - region.scrollLeft, moreDown: down - region.scrollTop };
    });
    regions.forEach((region, place) => {
      let { right, down, moreRight, moreDown } = hidden[place];
      right > 1 || down > 1 ? region.tabIndex = 0 : region.removeAttribute("tabindex"), region.toggleAttribute("data-more-right", moreRight > 1), region.toggleAttribute("data-more-down", moreDown > 1);
    });
  }
  function markRegions() {
    mark([...document.querySelectorAll(REGIONS)]);
  }
  function watchRegions() {
    addEventListener("resize", markRegions), document.addEventListener("toggle", markRegions, !0);
    let scrolled = ({ target }) => target instanceof HTMLElement && target.matches(REGIONS) && mark([target]);
    document.addEventListener("scroll", scrolled, !0);
  }

  // src/table.tsx
  var numberOf = (name) => (row) => digits(column(name)[row], 3);
  function columnsOf(state2, values2) {
    let { second } = page, measure = measureOf(state2.measure), open = (row) => /* @__PURE__ */ a3(Opener, { row }), inB2 = valuesInB(state2.measure, state2.cell), value = (row) => written(measure, values2(row) ?? NaN), prediction = (texts3, right) => (row) => /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3("bdi", { children: texts3[row] ?? "–" }),
      " ",
      /* @__PURE__ */ a3(Right, { right: right[row] })
    ] }), all = [
      ["question", open],
      ["category", categoryOf],
      ["answer", (row) => samples.answer[row] ?? "–"],
      ["prediction", prediction(samples.text ?? samples.prediction, samples.right)],
      ["state", (row) => words[stateOf(row)]],
      ["value", value],
      ["margin", numberOf("margin")],
      ["lead", numberOf("lead")],
      ["p_yes", numberOf("p_yes")],
      ["p_options", numberOf("p_options")],
      ["prediction-b", prediction(second?.text ?? second?.prediction ?? [], second?.right ?? [])],
      ["lead-b", (row) => digits(column("lead", "b")[row], 3)],
      ["value-b", (row) => written(measure, inB2?.(row) ?? NaN)]
    ], texts2 = page.scored ? ["answer", "prediction", "state"] : ["prediction"];
    second && texts2.push("prediction-b");
    let known = ([name]) => name in UNSORTED ? texts2.includes(name) : canSort(name, state2);
    return all.filter(known);
  }
  var TEXTS = ["question", "category", "answer", "prediction", "state", "prediction-b"], UNSORTED = {
    answer: () => words.answer,
    prediction: () => words[nameOfSaid()],
    state: () => words[page.opposite ? "state" : "scored"],
    "prediction-b": () => `B${words.colon}${words[nameOfSaid("b")]}`
  };
  function Heading({ name, state: state2 }) {
    let kind = TEXTS.includes(name) ? "text" : "", text = UNSORTED[name];
    if (text)
      return /* @__PURE__ */ a3("th", { scope: "col", class: kind, children: text() });
    let sort = name, own = state2.sort === sort, press = () => go({ sort, falling: own ? !state2.falling : kind === "", page: 0 });
    return /* @__PURE__ */ a3("th", { scope: "col", class: kind, "aria-sort": own ? state2.falling ? "descending" : "ascending" : "none", children: /* @__PURE__ */ a3("button", { type: "button", class: "heading", "data-sort": sort, onClick: press, children: [
      nameOfSort(sort, state2),
      /* @__PURE__ */ a3("span", { "aria-hidden": "true", children: own ? state2.falling ? " ▼" : " ▲" : "" })
    ] }) });
  }
  function SamplesTable({ rows, state: state2 }) {
    let values2 = knownValues(state2.measure, state2.cell), columns = columnsOf(state2, values2), known = [...samples.id.keys()].filter((row) => values2(row) !== void 0).length;
    return /* @__PURE__ */ a3($, { children: [
      known < samples.id.length && /* @__PURE__ */ a3("p", { class: "definition", id: "values-known", children: filled("values_known", { head: shortName(state2.cell), known, number: samples.id.length }) }),
      /* @__PURE__ */ a3("div", { class: "wide lines", role: "region", tabIndex: 0, "aria-label": words.samples_title, children: /* @__PURE__ */ a3("table", { id: "lines", children: [
        /* @__PURE__ */ a3("thead", { children: /* @__PURE__ */ a3("tr", { children: columns.map(([name]) => /* @__PURE__ */ a3(Heading, { name, state: state2 }, name)) }) }),
        /* @__PURE__ */ a3("tbody", { children: rows.map((row) => /* @__PURE__ */ a3("tr", { "data-sample": samples.id[row], children: columns.map(([name, cell]) => /* @__PURE__ */ a3("td", { class: TEXTS.includes(name) ? "text" : "", "data-column": name, children: cell(row) }, name)) }, row)) })
      ] }) })
    ] });
  }

  // src/samples.tsx
  var SHOWN = { cards: 12, table: 25 };
  function SamplesList({ state: state2 }) {
    let rows = listed(state2), size = SHOWN[state2.view], pages = Math.max(1, Math.ceil(rows.length / size)), shown = Math.min(state2.page, pages - 1), own = rows.slice(shown * size, (shown + 1) * size);
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(ShownSamples, { state: state2 }),
      /* @__PURE__ */ a3(Filters, { state: state2 }),
      page.scored && /* @__PURE__ */ a3("p", { class: "definition", children: words[page.opposite ? "pairs_help" : "states_help"] }),
      page.maps && /* @__PURE__ */ a3(NoMap, { state: state2 }),
      page.maps && state2.overlay && /* @__PURE__ */ a3(Scale, { id: "scale" }),
      /* @__PURE__ */ a3("p", { id: "found", "aria-live": "polite", children: rows.length ? counted("found", rows.length) : words.none_found }),
      state2.view === "table" ? /* @__PURE__ */ a3(SamplesTable, { rows: own, state: state2 }) : /* @__PURE__ */ a3("ul", { class: "cards", id: "cards", tabIndex: 0, "aria-label": words.samples_title, children: own.map((row) => /* @__PURE__ */ a3(Card, { row, state: state2 }, row)) }),
      /* @__PURE__ */ a3("nav", { class: "pages", "aria-label": words.samples_title, children: [
        /* @__PURE__ */ a3("button", { type: "button", id: "earlier", disabled: shown === 0, onClick: () => go({ page: shown - 1 }), children: words.earlier }),
        " ",
        /* @__PURE__ */ a3("span", { id: "page", children: filled("page", { page: shown + 1, pages }) }),
        " ",
        /* @__PURE__ */ a3("button", { type: "button", id: "later", disabled: shown >= pages - 1, onClick: () => go({ page: shown + 1 }), children: words.later })
      ] })
    ] });
  }
  function Filters({ state: state2 }) {
    let filter = (change) => go({ ...change, page: 0 }, "search" in change ? "search" : "");
    return /* @__PURE__ */ a3("div", { class: "controls", children: [
      /* @__PURE__ */ a3(
        Select,
        {
          id: "sample-category",
          label: "category",
          value: state2.sampleCategory,
          choices: [[-1, words.all], ...categories.map((name, place) => [place, name])],
          onChoose: (value) => filter({ sampleCategory: Number(value) })
        }
      ),
      page.scored && /* @__PURE__ */ a3(Answered, { state: state2, filter }),
      /* @__PURE__ */ a3("label", { for: "search", children: [
        words.search,
        " ",
        /* @__PURE__ */ a3(
          "input",
          {
            type: "search",
            id: "search",
            value: state2.search,
            onInput: (event) => filter({ search: event.currentTarget.value })
          }
        )
      ] }),
      /* @__PURE__ */ a3(SortedBy, { state: state2 }),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "view",
          label: "view",
          value: state2.view,
          choices: [
            ["cards", words.view_cards],
            ["table", words.view_table]
          ],
          onChoose: (value) => go({ view: value, page: 0 })
        }
      ),
      page.maps && /* @__PURE__ */ a3("label", { class: "check", children: [
        /* @__PURE__ */ a3(
          "input",
          {
            type: "checkbox",
            id: "overlay",
            checked: state2.overlay,
            onChange: (event) => go({ overlay: event.currentTarget.checked })
          }
        ),
        " ",
        words.overlay,
        words.colon,
        /* @__PURE__ */ a3("b", { id: "overlay-head", children: shortName(state2.cell) })
      ] })
    ] });
  }
  function Answered({ state: state2, filter }) {
    return /* @__PURE__ */ a3($, { children: [
      /* @__PURE__ */ a3(
        Select,
        {
          id: "sample-answer",
          label: "answered",
          value: state2.answer,
          choices: ANSWERS.slice(0, page.second ? void 0 : 3).map((name) => [name, nameOfAnswer(name)]),
          onChoose: (value) => filter({ answer: value })
        }
      ),
      /* @__PURE__ */ a3(
        Select,
        {
          id: "sample-state",
          label: page.opposite ? "state" : "answer",
          value: state2.pair,
          choices: [
            [-2, words.any],
            ...page.states.map((name, place) => [place, words[name]]),
            [-1, words[page.stateless]]
          ],
          onChoose: (value) => filter({ pair: Number(value) })
        }
      )
    ] });
  }
  function SortedBy({ state: state2 }) {
    return /* @__PURE__ */ a3("span", { class: "sorted", children: [
      /* @__PURE__ */ a3(
        Select,
        {
          id: "sort",
          label: "sort",
          value: state2.sort,
          choices: SORTS.filter((name) => canSort(name, state2)).map((name) => [name, nameOfSort(name, state2)]),
          onChoose: (value) => go({ sort: value, falling: value === "value", page: 0 })
        }
      ),
      " ",
      /* @__PURE__ */ a3(
        "button",
        {
          type: "button",
          id: "falling",
          "aria-pressed": state2.falling,
          disabled: state2.sort === "first",
          onClick: () => go({ falling: !state2.falling, page: 0 }),
          children: words[state2.falling ? "falling" : "rising"]
        }
      )
    ] });
  }
  function NoMap({ state: state2 }) {
    return /* @__PURE__ */ a3("p", { class: "note", id: "no-map", hidden: !state2.overlay || hasMaps(state2.cell), children: [
      words.no_map,
      /* @__PURE__ */ a3(LinksToHeads, { cells: page.maps.cells })
    ] });
  }
  function Card({ row, state: state2 }) {
    return /* @__PURE__ */ a3("li", { class: "card", "data-sample": samples.id[row], "data-category": categoryOf(row), "data-state": stateOf(row), children: [
      /* @__PURE__ */ a3(Picture, { row, cell: state2.overlay ? state2.cell : null }),
      /* @__PURE__ */ a3("div", { class: "text", children: /* @__PURE__ */ a3(Said, { row, onOpen: () => go({ sample: row }) }) })
    ] });
  }

  // src/main.tsx
  var PARTS = {
    "missing-part": Missing,
    "address-part": Address,
    "copy-part": CopyLink,
    "heads-part": Heads,
    "distributions-part": Distributions,
    "samples-part": SamplesList,
    "compared-part": Compared,
    "drawer-part": Drawer
  };
  function draw() {
    applyTheme(state().theme);
    for (let [id, Part] of Object.entries(PARTS)) {
      let place = document.getElementById(id);
      place && Q(/* @__PURE__ */ a3(Part, { state: state() }), place);
    }
    for (let place of document.querySelectorAll("[data-chart]"))
      Q(/* @__PURE__ */ a3(Figure, { name: place.dataset.chart, label: place.dataset.label }), place);
    markPlace(), markRegions();
  }
  async function main() {
    if (!await loadPieces(draw)) {
      Q(/* @__PURE__ */ a3(Missing, {}), document.getElementById("missing-part")), document.documentElement.dataset.ready = "no";
      return;
    }
    begin(draw), document.getElementById("theme").onclick = () => go({ theme: scheme() === "dark" ? "light" : "dark" }), matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw), watchRegions(), draw(), land(), await drawn(), land(), watchPlace(), markRegions(), document.documentElement.dataset.ready = "yes";
  }
  main();
})();
